#include "api/keep_alive.h"

#include <string>

#include "base/duration.h"

namespace puna::api {

Result<std::optional<std::chrono::nanoseconds>> ReadKeepAlive(const Json& json) {
  const auto it = json.find("keep_alive");
  if (it == json.end() || it->is_null()) return std::nullopt;
  if (it->is_number()) {
    const double seconds = it->get<double>();
    if (seconds < 0 || seconds >= 9.2e9) return kForever;
    return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
  }
  if (!it->is_string()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "keep_alive must be a number of seconds or a duration such as \"5m\"");
  }
  PUNA_ASSIGN_OR_RETURN(const auto duration, ParseGoDuration(it->get<std::string>()));
  return duration < std::chrono::nanoseconds(0) ? kForever : duration;
}

}  // namespace puna::api
