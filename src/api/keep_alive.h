// The field "keep_alive", which all native routes that load a model have.
#ifndef PUNA_API_KEEP_ALIVE_H_
#define PUNA_API_KEEP_ALIVE_H_

#include <chrono>
#include <optional>

#include "base/json.h"
#include "base/result.h"

namespace puna::api {

// A number of seconds or a duration; absent or null: nothing.
Result<std::optional<std::chrono::nanoseconds>> ReadKeepAlive(const Json& json);

}  // namespace puna::api

#endif  // PUNA_API_KEEP_ALIVE_H_
