#include "grammar/schema_case.h"

#include <algorithm>

#include "grammar/json_number.h"

namespace puna::grammar {
namespace {

template <typename T>
void Append(const std::vector<T>& more, std::vector<T>* list) {
  list->insert(list->end(), more.begin(), more.end());
}

int64_t SmallerMax(int64_t a, int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }
bool Impossible(int64_t min, int64_t max) { return max >= 0 && min > max; }

}  // namespace

uint8_t TypeOf(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return kNullType;
    case Json::value_t::boolean:
      return kBooleanType;
    case Json::value_t::string:
      return kStringType;
    case Json::value_t::array:
      return kArrayType;
    case Json::value_t::object:
      return kObjectType;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return kIntegerType;
    default: {
      const auto decimal = DecimalOf(value);
      return decimal && !decimal->is_integer() ? kFractionType : kIntegerType;
    }
  }
}

std::optional<Case> Both(const Case& a, const Case& b) {
  Case out = a;
  out.types &= b.types;
  out.types_named = a.types_named || b.types_named;
  if (b.values) {
    if (!out.values) {
      out.values = b.values;
    } else {
      std::erase_if(*out.values, [&](const Json& value) {
        return std::find(b.values->begin(), b.values->end(), value) == b.values->end();
      });
    }
  }
  Append(b.excluded, &out.excluded);
  if (out.values) {
    std::erase_if(*out.values, [&](const Json& value) {
      return (TypeOf(value) & out.types) == 0 ||
             std::find(out.excluded.begin(), out.excluded.end(), value) != out.excluded.end();
    });
    uint8_t left = 0;
    for (const Json& value : *out.values) left |= TypeOf(value);
    out.types &= left;
  }
  Append(b.numbers, &out.numbers);
  Append(b.strings, &out.strings);
  Append(b.arrays, &out.arrays);
  Append(b.contains, &out.contains);
  Append(b.objects, &out.objects);
  Append(b.names, &out.names);
  for (const std::string& name : b.required) {
    if (std::find(out.required.begin(), out.required.end(), name) == out.required.end())
      out.required.push_back(name);
  }
  out.min_length = std::max(a.min_length, b.min_length);
  out.max_length = SmallerMax(a.max_length, b.max_length);
  out.unique_items = a.unique_items || b.unique_items;
  out.min_items = std::max(a.min_items, b.min_items);
  out.max_items = SmallerMax(a.max_items, b.max_items);
  out.min_properties = std::max(a.min_properties, b.min_properties);
  out.max_properties = SmallerMax(a.max_properties, b.max_properties);
  if (Impossible(out.min_length, out.max_length)) out.types &= ~kStringType;
  if (Impossible(out.min_items, out.max_items)) out.types &= ~kArrayType;
  if (Impossible(out.min_properties, out.max_properties)) out.types &= ~kObjectType;
  if (out.types == 0) return std::nullopt;
  return out;
}

}  // namespace puna::grammar
