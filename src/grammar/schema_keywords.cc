// The keywords that say something about values of one type.
#include <algorithm>

#include "grammar/json_number.h"
#include "grammar/number_dfa.h"
#include "grammar/regex.h"
#include "grammar/schema_cases.h"
#include "grammar/schema_format.h"

namespace puna::grammar {
namespace {

struct TypeName {
  std::string_view name;
  uint8_t types;
};
constexpr TypeName kTypeNames[] = {{"null", kNullType},       {"boolean", kBooleanType},
                                   {"integer", kIntegerType}, {"number", kNumberTypes},
                                   {"string", kStringType},   {"array", kArrayType},
                                   {"object", kObjectType}};

uint8_t TypesNamed(const Json& name) {
  for (const TypeName& row : kTypeNames) {
    if (name == std::string(row.name)) return row.types;
  }
  return 0;
}

}  // namespace

template <typename T>
Result<T> SchemaCases::AtPlace(const Json& schema, std::string_view keyword,
                               Result<T> result) const {
  if (result) return result;
  return WithContext(std::move(result).error(),
                     fmt::format("schema, {}: \"{}\"", document_->PlaceOf(schema), keyword));
}

Result<SharedDfa> SchemaCases::Pattern(const std::string& pattern) {
  SharedDfa& known = patterns_[pattern];
  if (known == nullptr) {
    PUNA_ASSIGN_OR_RETURN(CharDfa dfa, ReadRegex(pattern, RegexMatch::kAnywhere, effort_));
    known = std::make_shared<const CharDfa>(std::move(dfa));
  }
  return known;
}

Result<int64_t> SchemaCases::ReadCount(const Json& schema, const std::string& keyword,
                                       const Json& value) const {
  constexpr int64_t kMax = 1'000'000'000;
  if (value.is_number_integer() && value >= 0) return value > kMax ? kMax : value.get<int64_t>();
  if (value.is_number_float()) {
    const auto decimal = DecimalOf(value);
    if (decimal && decimal->is_integer() && !decimal->negative)
      return value > kMax ? kMax : static_cast<int64_t>(value.get<double>());
  }
  return Wrong(schema, keyword, "a whole number, 0 or more");
}

Status SchemaCases::ReadNumberKeyword(const Json& schema, const std::string& keyword,
                                      const Json& value, Case* out) {
  const auto number = value.is_number() ? DecimalOf(value) : std::nullopt;
  if (!number) return Wrong(schema, keyword, "a number");
  CharDfa dfa;
  if (keyword == "multipleOf") {
    PUNA_ASSIGN_OR_RETURN(dfa, AtPlace(schema, keyword, MultiplesOf(*number)));
  } else {
    const Comparison comparison = keyword == "minimum"            ? Comparison::kAtLeast
                                  : keyword == "maximum"          ? Comparison::kAtMost
                                  : keyword == "exclusiveMinimum" ? Comparison::kAbove
                                                                  : Comparison::kBelow;
    dfa = NumbersThat(comparison, *number);
  }
  out->numbers.push_back(std::make_shared<const CharDfa>(std::move(dfa)));
  return {};
}

Status SchemaCases::ReadStringKeyword(const Json& schema, const std::string& keyword,
                                      const Json& value, Case* out) {
  if (!value.is_string()) return Wrong(schema, keyword, "a string");
  const auto& text = value.get_ref<const std::string&>();
  if (keyword == "pattern") {
    PUNA_ASSIGN_OR_RETURN(SharedDfa dfa, AtPlace(schema, keyword, Pattern(text)));
    out->strings.push_back(std::move(dfa));
    return {};
  }
  SharedDfa& known = formats_[text];
  if (known == nullptr) {
    PUNA_ASSIGN_OR_RETURN(CharDfa dfa,
                          AtPlace(schema, keyword, FormatDfa(text, reading_, effort_)));
    known = std::make_shared<const CharDfa>(std::move(dfa));
  }
  out->strings.push_back(known);
  return {};
}

Status SchemaCases::ReadObjectKeyword(const Json& schema, const std::string& keyword,
                                      const Json& value, Case* out) {
  if (keyword == "required") {
    if (!value.is_array()) return Wrong(schema, keyword, "a list of strings");
    for (const Json& name : value) {
      if (!name.is_string()) return Wrong(schema, keyword, "a list of strings");
      out->required.push_back(name.get<std::string>());
    }
    return {};
  }
  if (keyword == "propertyNames") {
    out->names.push_back({&value, false});
    return {};
  }
  if (out->objects.empty()) out->objects.emplace_back();
  ObjectGroup& group = out->objects[0];
  if (keyword == "additionalProperties") {
    group.additional = Literal{&value, false};
    return {};
  }
  if (!value.is_object()) return Wrong(schema, keyword, "an object of schemas");
  if (keyword == "properties") group.lists_properties = true;
  for (const auto& [name, property] : value.items()) {
    (keyword == "properties" ? group.properties : group.patterns)
        .emplace_back(name, Literal{&property, false});
  }
  return {};
}

Status SchemaCases::ReadArrayKeyword(const Json& schema, const std::string& keyword,
                                     const Json& value, Case* out) {
  if (keyword == "uniqueItems") {
    if (!value.is_boolean()) return Wrong(schema, keyword, "true or false");
    out->unique_items = value.get<bool>();
    return {};
  }
  if (keyword == "contains") {
    ContainsLimit contains{{&value, false}};
    if (const auto min = schema.find("minContains"); min != schema.end()) {
      PUNA_ASSIGN_OR_RETURN(contains.min, ReadCount(schema, "minContains", *min));
    }
    if (const auto max = schema.find("maxContains"); max != schema.end()) {
      PUNA_ASSIGN_OR_RETURN(contains.max, ReadCount(schema, "maxContains", *max));
    }
    out->contains.push_back(contains);
    return {};
  }
  if (out->arrays.empty()) out->arrays.emplace_back();
  ArrayGroup& group = out->arrays[0];
  const bool is_list = value.is_array();
  if (keyword == "prefixItems" && !is_list) return Wrong(schema, keyword, "a list of schemas");
  if (is_list) {  // also "items" of older drafts
    for (const Json& item : value) group.prefix.push_back({&item, false});
  } else if (keyword == "items" || (schema.contains("items") && schema["items"].is_array())) {
    group.items = Literal{&value, false};
  }
  return {};
}

Status SchemaCases::ReadSimple(const Json& schema, const std::string& keyword, const Json& value,
                               Case* out) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), keyword) != words.end();
  };
  struct CountRow {
    std::string_view keyword;
    int64_t Case::*field;
  };
  static constexpr CountRow kCounts[] = {
      {"minLength", &Case::min_length},         {"maxLength", &Case::max_length},
      {"minItems", &Case::min_items},           {"maxItems", &Case::max_items},
      {"minProperties", &Case::min_properties}, {"maxProperties", &Case::max_properties}};
  for (const CountRow& row : kCounts) {
    if (row.keyword != keyword) continue;
    PUNA_ASSIGN_OR_RETURN(out->*row.field, ReadCount(schema, keyword, value));
    return {};
  }
  if (keyword == "type") {
    out->types = 0;
    out->types_named = true;
    for (const Json& name : value.is_array() ? value : Json::array({value})) {
      const uint8_t types = TypesNamed(name);
      if (types == 0) return Wrong(schema, keyword, "the name of a type, or a list of them");
      out->types |= types;
    }
    return {};
  }
  if (keyword == "const" || keyword == "enum") {
    if (keyword == "enum" && !value.is_array()) return Wrong(schema, keyword, "a list of values");
    Case constant;
    constant.values.emplace();
    if (keyword == "const") constant.values->push_back(&value);
    if (keyword == "enum") {
      for (const Json& each : value) constant.values->push_back(&each);
    }
    const auto both = Both(*out, constant);
    if (both) {
      *out = *both;
    } else {
      out->types = 0;
    }
    return {};
  }
  if (is_one_of({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}))
    return ReadNumberKeyword(schema, keyword, value, out);
  if (is_one_of({"pattern", "format"})) return ReadStringKeyword(schema, keyword, value, out);
  if (is_one_of(
          {"properties", "patternProperties", "additionalProperties", "required", "propertyNames"}))
    return ReadObjectKeyword(schema, keyword, value, out);
  if (is_one_of({"items", "prefixItems", "additionalItems", "contains", "uniqueItems"}))
    return ReadArrayKeyword(schema, keyword, value, out);
  if (is_one_of({"minContains", "maxContains"})) return {};  // read with "contains"
  return Unsupported(schema, fmt::format("the keyword \"{}\"", keyword));
}

}  // namespace puna::grammar
