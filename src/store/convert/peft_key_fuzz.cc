// A key, and behind its first line the name of a module.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "store/convert/peft_key.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), size);
  const std::string_view key = text.substr(0, end);
  const std::string module(text.substr(std::min(end + 1, size), 250));
  const auto matched = puna::store::MatchesPeftKey(key, module);
  if (!matched) {
    CHECK(!matched.error().message.empty());
    return 0;
  }
  // A key that does not name the beginning matches the end of a longer name as well.
  if (!*matched || key.find('^') != std::string_view::npos) return 0;
  const auto longer = puna::store::MatchesPeftKey(key, "x." + module);
  CHECK(longer && *longer);
  return 0;
}
