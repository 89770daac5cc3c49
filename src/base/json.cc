#include "base/json.h"

#include <algorithm>

#include "base/json_repair.h"

namespace puna {

JsonShape ShapeOfJson(std::string_view text) {
  JsonShape shape = {.values = 1};
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      shape.depth = std::max(shape.depth, ++depth);
      ++shape.values;
      if (c == '{') ++shape.objects;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',') {
      ++shape.values;
    }
  }
  return shape;
}

Json ParseJson(std::string_view text) {
  if (ShapeOfJson(text).depth > kMaxJsonNesting) return Json::value_t::discarded;
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_discarded()) return json;
  const std::optional<std::string> repaired = RepairJsonStrings(text);
  if (repaired) json = Json::parse(*repaired, nullptr, /*allow_exceptions=*/false);
  return json;
}

}  // namespace puna
