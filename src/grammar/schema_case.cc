#include "grammar/schema_case.h"

#include <algorithm>
#include <string_view>

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
      const JsonSet known(b.values->begin(), b.values->end());
      std::erase_if(*out.values, [&](const Json* value) { return !known.contains(value); });
    }
  }
  Append(b.excluded, &out.excluded);
  if (out.values) {
    const JsonSet excluded(out.excluded.begin(), out.excluded.end());
    std::erase_if(*out.values, [&](const Json* value) {
      return (TypeOf(*value) & out.types) == 0 || excluded.contains(value);
    });
    uint8_t left = 0;
    for (const Json* value : *out.values) left |= TypeOf(*value);
    out.types &= left;
  }
  Append(b.numbers, &out.numbers);
  Append(b.strings, &out.strings);
  Append(b.arrays, &out.arrays);
  Append(b.contains, &out.contains);
  Append(b.objects, &out.objects);
  Append(b.names, &out.names);
  if (!b.required.empty()) {
    std::set<std::string_view> known(a.required.begin(), a.required.end());
    for (const std::string& name : b.required) {
      if (known.insert(name).second) out.required.push_back(name);
    }
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

int64_t SizeOf(const Case& limits) {
  size_t size = 1 + limits.excluded.size() + limits.numbers.size() + limits.strings.size() +
                limits.contains.size() + limits.required.size() + limits.names.size();
  if (limits.values) size += limits.values->size();
  for (const ArrayGroup& group : limits.arrays) size += 1 + group.prefix.size();
  for (const ObjectGroup& group : limits.objects)
    size += 1 + group.properties.size() + group.patterns.size();
  return static_cast<int64_t>(size);
}

}  // namespace puna::grammar
