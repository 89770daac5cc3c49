// JSON is this type everywhere, which keeps the order of keys as users wrote them. The helpers read
// what somebody else wrote: a field of another type counts as absent instead of throwing, and text
// that nests too deep counts as malformed.
#ifndef PUNA_BASE_JSON_H_
#define PUNA_BASE_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/ordered_map.h"

namespace puna {

using Json = nlohmann::basic_json<OrderedMap>;

// Deeper than any honest text; copying, comparing and writing a value takes stack for each level.
inline constexpr int kMaxJsonNesting = 512;

// What a JSON text would become, found before memory is taken for it. Of malformed text it says
// something, in linear time.
struct JsonShape {
  int depth = 0;  // of lists and objects within each other
  int64_t objects = 0;
  int64_t values = 0;  // of all kinds; lists and objects may count twice
};
JsonShape ShapeOfJson(std::string_view text);

// The value of a text from outside: a request, a file, a model, another server. Never throws: it
// is_discarded() if malformed, also after RepairJsonStrings (json_repair.h), or nested too deep.
Json ParseJson(std::string_view text);

inline std::string JsonString(const Json& object, std::string_view key,
                              std::string_view otherwise = "") {
  if (object.is_object()) {
    if (const auto it = object.find(key); it != object.end() && it->is_string())
      return it->get<std::string>();
  }
  return std::string(otherwise);
}

// Never throws: malformed UTF-8 in strings becomes U+FFFD.
inline std::string DumpJson(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace puna

#endif  // PUNA_BASE_JSON_H_
