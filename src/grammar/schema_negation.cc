// What a schema rejects. A schema is the conjunction of its keywords, so its negation is that one
// of them fails; each keyword only ever fails values of its own type.
#include <algorithm>
#include <iterator>

#include "grammar/json_number.h"
#include "grammar/number_dfa.h"
#include "grammar/schema_cases.h"

namespace puna::grammar {
namespace {

const Json& Never() {
  static const Json kFalse = false;
  return kFalse;
}
const Json& Always() {
  static const Json kTrue = true;
  return kTrue;
}

Case OfTypes(uint8_t types) {
  Case out;
  out.types = types;
  return out;
}

// An object in which `name` is as `literal` says, if it is there.
Case WithProperty(const std::string& name, Literal literal) {
  Case out = OfTypes(kObjectType);
  out.objects.push_back({{{name, literal}}, {}, std::nullopt});
  return out;
}

SharedDfa Rest(const CharDfa& all, const CharDfa& dfa, Effort* effort, Status* status) {
  auto rest = Subtract(all, dfa, effort);
  if (rest) return std::make_shared<const CharDfa>(*std::move(rest));
  *status = tl::unexpected(std::move(rest).error());
  return nullptr;
}

}  // namespace

Result<Cases> SchemaCases::OfNegated(const Json& schema, int depth) {
  Cases all;
  for (const auto& [keyword, value] : schema.items()) {
    PUNA_ASSIGN_OR_RETURN(Cases cases, NegateKeyword(schema, keyword, value, depth));
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

Result<Cases> SchemaCases::NegateKeyword(const Json& schema, const std::string& keyword,
                                         const Json& value, int depth) {
  if (keyword == "$ref" || keyword == "$dynamicRef") {
    if (!value.is_string()) return Wrong(schema, keyword, "a string");
    PUNA_ASSIGN_OR_RETURN(const Json* target, document_->Resolve(schema, keyword));
    return OfLiteral({target, true}, depth);
  }
  if (keyword == "not") return OfLiteral({&value, false}, depth);
  if (keyword == "if") return ReadConditional(schema, true, depth);
  if (keyword == "allOf" || keyword == "anyOf" || keyword == "oneOf") {
    PUNA_RETURN_IF_ERROR(CheckList(schema, keyword, value));
    const bool all_fail = keyword != "allOf";
    Cases all = all_fail ? Cases{Case{}} : Cases{};
    for (const Json& part : value) {
      PUNA_ASSIGN_OR_RETURN(Cases cases, OfLiteral({&part, true}, depth));
      if (all_fail) {
        PUNA_ASSIGN_OR_RETURN(all, Multiply(all, cases));
      } else {
        std::move(cases.begin(), cases.end(), std::back_inserter(all));
      }
    }
    if (keyword != "oneOf") return all;
    for (const Json& a : value) {  // or two of them hold
      for (const Json& b : value) {
        if (&a >= &b) continue;
        PUNA_ASSIGN_OR_RETURN(const Cases first, OfLiteral({&a, false}, depth));
        PUNA_ASSIGN_OR_RETURN(const Cases second, OfLiteral({&b, false}, depth));
        PUNA_ASSIGN_OR_RETURN(Cases both, Multiply(first, second));
        std::move(both.begin(), both.end(), std::back_inserter(all));
        if (all.size() > kMaxCases) return Multiply(all, {Case{}});  // which says so
      }
    }
    return Multiply(all, {Case{}});
  }
  if (keyword == "dependentRequired" && value.is_object()) {
    Cases all;
    for (const auto& [name, wanted] : value.items()) {
      for (const Json& other : wanted) {
        if (!other.is_string()) return Wrong(schema, keyword, "lists of strings");
        Case broken = WithProperty(other.get<std::string>(), {&Never(), false});
        broken.required.push_back(name);
        all.push_back(std::move(broken));
      }
    }
    return all;
  }
  if (keyword.starts_with("depend") && value.is_object()) {
    Cases all;
    for (const auto& [name, wanted] : value.items()) {
      if (!wanted.is_object() && !wanted.is_boolean())
        return Unsupported(schema, "\"" + keyword + "\" in \"not\"");
      Case present = OfTypes(kObjectType);
      present.required.push_back(name);
      PUNA_ASSIGN_OR_RETURN(const Cases fails, OfLiteral({&wanted, true}, depth));
      PUNA_ASSIGN_OR_RETURN(Cases both, Multiply({present}, fails));
      std::move(both.begin(), both.end(), std::back_inserter(all));
    }
    return all;
  }
  if (keyword.starts_with("unevaluated") || (keyword == "uniqueItems" && value != false))
    return Unsupported(schema, "\"" + keyword + "\" in \"not\"");
  return NegateSimple(schema, keyword, value);
}

// The limits of one keyword, turned around.
Result<Cases> SchemaCases::NegateSimple(const Json& schema, const std::string& keyword,
                                        const Json& value) {
  if (keyword == "items" || keyword == "prefixItems" || keyword == "additionalItems" ||
      keyword == "contains") {
    return NegateItems(schema, keyword, value);
  }
  if (keyword == "minContains" || keyword == "maxContains") return Cases{};
  if (keyword == "properties" && value.is_object()) {
    Cases all;
    for (const auto& [name, property] : value.items()) {
      Case broken = WithProperty(name, {&property, true});
      broken.required.push_back(name);
      all.push_back(std::move(broken));
    }
    return all;
  }
  if (keyword == "patternProperties" || keyword == "propertyNames" ||
      (keyword == "additionalProperties" && value != true)) {
    return Unsupported(schema, "\"" + keyword + "\" in \"not\"");
  }
  PUNA_ASSIGN_OR_RETURN(const bool limited, IsLimit(schema, keyword));
  if (!limited) return Cases{};
  Case limits;
  PUNA_RETURN_IF_ERROR(ReadSimple(schema, keyword, value, &limits));
  if (limits.types == 0) return Cases{Case{}};
  Cases all;
  if (limits.types_named) {
    all.push_back(OfTypes(static_cast<uint8_t>(kAllTypes & ~limits.types)));
    if (all[0].types == 0) all.clear();
    return all;
  }
  if (limits.values) {
    Case others;
    others.excluded = *limits.values;
    return Cases{others};
  }
  Status status;
  for (const SharedDfa& dfa : limits.numbers) {
    Case broken = OfTypes(kNumberTypes);
    PUNA_ASSIGN_OR_RETURN(const CharDfa any,
                          Unite(NumbersThat(Comparison::kAtLeast, Decimal{}),
                                NumbersThat(Comparison::kAtMost, Decimal{}), effort_));
    broken.numbers.push_back(Rest(any, *dfa, effort_, &status));
    all.push_back(std::move(broken));
  }
  for (const SharedDfa& dfa : limits.strings) {
    Case broken = OfTypes(kStringType);
    broken.strings.push_back(Rest(CharDfa::Anything(), *dfa, effort_, &status));
    all.push_back(std::move(broken));
  }
  PUNA_RETURN_IF_ERROR(status);
  for (const std::string& name : limits.required)
    all.push_back(WithProperty(name, {&Never(), false}));
  struct CountRow {
    uint8_t type;
    int64_t Case::*min;
    int64_t Case::*max;
  };
  static constexpr CountRow kCounts[] = {
      {kStringType, &Case::min_length, &Case::max_length},
      {kArrayType, &Case::min_items, &Case::max_items},
      {kObjectType, &Case::min_properties, &Case::max_properties}};
  for (const CountRow& row : kCounts) {
    if (limits.*row.min > 0) {
      all.push_back(OfTypes(row.type));
      all.back().*row.max = limits.*row.min - 1;
    }
    if (limits.*row.max >= 0) {
      all.push_back(OfTypes(row.type));
      all.back().*row.min = limits.*row.max + 1;
    }
  }
  return all;
}

Result<Cases> SchemaCases::NegateItems(const Json& schema, const std::string& keyword,
                                       const Json& value) {
  Cases all;
  if (keyword == "contains") {
    Case limits;
    PUNA_RETURN_IF_ERROR(ReadSimple(schema, keyword, value, &limits));
    const ContainsLimit contains = limits.contains[0];
    if (contains.min > 0) {
      all.push_back(OfTypes(kArrayType));
      all.back().contains.push_back({contains.what, 0, contains.min - 1});
    }
    if (contains.max >= 0) {
      all.push_back(OfTypes(kArrayType));
      all.back().contains.push_back({contains.what, contains.max + 1, -1});
    }
    return all;
  }
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      Case broken = OfTypes(kArrayType);
      broken.min_items = static_cast<int64_t>(i) + 1;
      ArrayGroup group;
      group.prefix.assign(i, {&Always(), false});
      group.prefix.push_back({&value[i], true});
      broken.arrays.push_back(std::move(group));
      all.push_back(std::move(broken));
    }
    return all;
  }
  const bool has_prefix = schema.contains("prefixItems") || keyword == "additionalItems";
  if (has_prefix && value == true) return all;
  if (has_prefix && value == false) {
    const auto& prefix = schema.contains("prefixItems") ? schema["prefixItems"] : schema["items"];
    all.push_back(OfTypes(kArrayType));
    all.back().min_items = static_cast<int64_t>(prefix.size()) + 1;
    return all;
  }
  if (has_prefix) return Unsupported(schema, "\"" + keyword + "\" behind a prefix in \"not\"");
  all.push_back(OfTypes(kArrayType));
  all.back().contains.push_back({{&value, true}, 1, -1});
  return all;
}

}  // namespace puna::grammar
