// JSON is nlohmann::ordered_json everywhere, so that what users wrote keeps its order. These
// helpers read fields of objects that somebody else wrote: a field of another type counts as absent
// instead of throwing.
#ifndef PUNA_BASE_JSON_H_
#define PUNA_BASE_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace puna {

using Json = nlohmann::ordered_json;

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
