// Combination of schemas. The keywords of single types are in schema_keywords.cc, negation in
// schema_negation.cc.
#include "grammar/schema_cases.h"

#include <algorithm>
#include <iterator>

#include "grammar/json_number.h"

namespace puna::grammar {
namespace {

// Steps of reading a keyword and of combining two cases, besides what they consist of.
constexpr int64_t kKeywordSteps = 20;
constexpr int64_t kCaseSteps = 20;
constexpr int kMaxCaseDepth = 200;

constexpr std::string_view kAnnotations[] = {
    "$schema",       "$id",      "$anchor",     "$defs",           "definitions",
    "$comment",      "title",    "description", "default",         "examples",
    "deprecated",    "readOnly", "writeOnly",   "contentEncoding", "contentMediaType",
    "contentSchema", "then",     "else",        "$dynamicAnchor",  "$vocabulary"};
constexpr std::string_view kCombining[] = {"$ref",
                                           "$dynamicRef",
                                           "allOf",
                                           "anyOf",
                                           "oneOf",
                                           "not",
                                           "if",
                                           "dependentRequired",
                                           "dependentSchemas",
                                           "dependencies"};
constexpr std::string_view kUnevaluated[] = {"unevaluatedProperties", "unevaluatedItems"};
// Alternatives of which any may hold at once: each set of them is a case.
constexpr size_t kMaxTogether = 8;

// What a negation or a condition that fails is about has not been evaluated.
void ForgetEvaluated(Cases* cases) {
  for (Case& each : *cases) {
    for (ObjectGroup& group : each.objects) group.evaluates = false;
    for (ArrayGroup& group : each.arrays) group.evaluates = false;
    for (ContainsLimit& contains : each.contains) contains.evaluates = false;
  }
}

template <size_t N>
bool IsIn(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

class ScopedCount {
 public:
  explicit ScopedCount(int* count) : count_(count) {
    if (count_ != nullptr) ++*count_;
  }
  ~ScopedCount() {
    if (count_ != nullptr) --*count_;
  }
  ScopedCount(const ScopedCount&) = delete;
  ScopedCount& operator=(const ScopedCount&) = delete;

 private:
  int* count_;
};

}  // namespace

tl::unexpected<Error> SchemaCases::Wrong(const Json& schema, std::string_view keyword,
                                         std::string_view expected) const {
  return MakeError(ErrorCode::kInvalidArgument, "schema, {}: \"{}\" must be {}",
                   document_->PlaceOf(schema), keyword, expected);
}

tl::unexpected<Error> SchemaCases::Unsupported(const Json& schema, std::string_view what) const {
  return MakeError(ErrorCode::kUnsupported, "schema, {}: {} is not supported",
                   document_->PlaceOf(schema), what);
}

Status SchemaCases::CheckList(const Json& schema, const std::string& keyword,
                              const Json& value) const {
  if (value.is_array() && !value.empty()) return {};
  return Wrong(schema, keyword, "a list of schemas");
}

Result<Cases> SchemaCases::Multiply(const Cases& a, const Cases& b) {
  Cases out;
  for (const Case& x : a) {
    for (const Case& y : b) {
      PUNA_RETURN_IF_ERROR(effort_->Spend(kCaseSteps + 2 * (SizeOf(x) + SizeOf(y))));
      if (auto both = Both(x, y)) out.push_back(*std::move(both));
      if (out.size() > kMaxCases) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "the schema is too complex: its alternatives multiply to more than {}",
                         kMaxCases);
      }
    }
  }
  return out;
}

Result<Cases> SchemaCases::Of(const Literals& literals) {
  Cases all = {Case{}};
  for (const Literal& literal : literals) {
    PUNA_ASSIGN_OR_RETURN(const Cases cases, OfLiteral(literal, 0));
    PUNA_ASSIGN_OR_RETURN(all, Multiply(all, cases));
  }
  return all;
}

Result<Cases> SchemaCases::OfLiteral(Literal literal, int depth) {
  const Json& schema = *literal.schema;
  if (schema.is_boolean()) {
    const bool anything = schema.get<bool>() != literal.negated;
    return anything ? Cases{Case{}} : Cases{};
  }
  if (!schema.is_object()) {
    return MakeError(ErrorCode::kInvalidArgument, "schema, {}: expected an object, true or false",
                     document_->PlaceOf(schema));
  }
  if (depth > kMaxCaseDepth)
    return MakeError(ErrorCode::kInvalidArgument, "the schema combines schemas too deeply");
  if (std::find(open_.begin(), open_.end(), literal) != open_.end()) {
    return MakeError(ErrorCode::kInvalidArgument, "schema, {}: a reference leads back to itself",
                     document_->PlaceOf(schema));
  }
  open_.push_back(literal);
  Result<Cases> cases =
      literal.negated ? OfNegated(schema, depth + 1) : OfObject(schema, depth + 1);
  open_.pop_back();
  if (literal.negated && cases) ForgetEvaluated(&*cases);
  return cases;
}

Result<bool> SchemaCases::IsLimit(const Json& schema, const std::string& keyword) {
  PUNA_RETURN_IF_ERROR(effort_->Spend(kKeywordSteps));
  // Another vocabulary could give the keywords another meaning.
  if (keyword == "$schema" &&
      JsonString(schema, "$schema").find("json-schema.org/") == std::string::npos)
    return Unsupported(schema, "a \"$schema\" other than json-schema.org's");
  return !IsIn(kAnnotations, keyword) && !IsIn(kUnevaluated, keyword) && !keyword.starts_with("x-");
}

Result<Cases> SchemaCases::OfObject(const Json& schema, int depth) {
  Case simple;
  Cases all = {Case{}};
  const bool asks =
      std::any_of(std::begin(kUnevaluated), std::end(kUnevaluated),
                  [&](std::string_view keyword) { return schema.contains(std::string(keyword)); });
  const ScopedCount collecting(asks ? &collecting_ : nullptr);
  for (const auto& [keyword, value] : schema.items()) {
    PUNA_ASSIGN_OR_RETURN(const bool limited, IsLimit(schema, keyword));
    if (!limited) continue;
    if (IsIn(kCombining, keyword)) {
      PUNA_ASSIGN_OR_RETURN(const Cases cases, ReadCombining(schema, keyword, value, depth));
      PUNA_ASSIGN_OR_RETURN(all, Multiply(all, cases));
    } else {
      PUNA_RETURN_IF_ERROR(ReadSimple(schema, keyword, value, &simple));
    }
  }
  PUNA_ASSIGN_OR_RETURN(all, Multiply({simple}, all));
  if (asks) {
    for (Case& each : all) PUNA_RETURN_IF_ERROR(AddUnevaluated(schema, &each));
  }
  return all;
}

Status SchemaCases::AddUnevaluated(const Json& schema, Case* limits) const {
  static const Json kTrue = true;
  const Literal anything = {&kTrue, false};
  if (const auto rest = schema.find("unevaluatedProperties"); rest != schema.end()) {
    ObjectGroup others;
    bool all = false;
    for (const ObjectGroup& group : limits->objects) {
      if (!group.evaluates) continue;
      all = all || group.additional;
      for (const auto& [name, literal] : group.properties)
        others.properties.emplace_back(name, anything);
      for (const auto& [pattern, literal] : group.patterns)
        others.patterns.emplace_back(pattern, anything);
      others.lists_properties = others.lists_properties || group.lists_properties;
    }
    others.additional = Literal{&*rest, false};
    if (!all) limits->objects.push_back(std::move(others));
  }
  if (const auto rest = schema.find("unevaluatedItems"); rest != schema.end()) {
    ArrayGroup others;
    bool all = false;
    for (const ArrayGroup& group : limits->arrays) {
      if (!group.evaluates) continue;
      all = all || group.items;
      others.prefix.resize(std::max(others.prefix.size(), group.prefix.size()), anything);
    }
    others.items = Literal{&*rest, false};
    std::vector<Literal> found;
    for (const ContainsLimit& contains : limits->contains) {
      if (contains.evaluates) found.push_back(contains.what);
    }
    if (all) return {};
    if (!found.empty()) {
      // An item is evaluated if it is one that was looked for.
      if (found.size() > 1 || *rest != false)
        return Unsupported(schema, "\"unevaluatedItems\" beside such a \"contains\"");
      others.items = found[0];
    }
    limits->arrays.push_back(std::move(others));
  }
  return {};
}

Result<Cases> SchemaCases::ReadCombining(const Json& schema, const std::string& keyword,
                                         const Json& value, int depth) {
  if (keyword == "$ref" || keyword == "$dynamicRef") {
    if (!value.is_string()) return Wrong(schema, keyword, "a string");
    PUNA_ASSIGN_OR_RETURN(const Json* target, document_->Resolve(schema, keyword));
    return OfLiteral({target, false}, depth);
  }
  if (keyword == "not") return OfLiteral({&value, true}, depth);
  if (keyword == "if") return ReadConditional(schema, false, depth);
  if (keyword.starts_with("depend")) return ReadDependencies(schema, keyword, value, depth);
  PUNA_RETURN_IF_ERROR(CheckList(schema, keyword, value));
  if (keyword == "oneOf") return ReadOneOf(schema, value, depth);
  if (keyword == "anyOf" && collecting_ > 0) return ReadAnyOf(value, depth);
  Cases all = keyword == "allOf" ? Cases{Case{}} : Cases{};
  for (const Json& part : value) {
    PUNA_ASSIGN_OR_RETURN(Cases cases, OfLiteral({&part, false}, depth));
    if (keyword == "allOf") {
      PUNA_ASSIGN_OR_RETURN(all, Multiply(all, cases));
    } else {
      std::move(cases.begin(), cases.end(), std::back_inserter(all));
    }
    if (all.size() > kMaxCases) return Multiply(all, {Case{}});  // which says so
  }
  return all;
}

// One case for each set of alternatives that hold: what a larger set evaluates includes what a
// smaller one does, so it does no harm that the smaller one does not exclude it.
Result<Cases> SchemaCases::ReadAnyOf(const Json& list, int depth) {
  if (list.size() > kMaxTogether)
    return Unsupported(list, "so long an \"anyOf\" together with \"unevaluated...\"");
  std::vector<Cases> each;
  for (const Json& part : list) {
    PUNA_ASSIGN_OR_RETURN(Cases cases, OfLiteral({&part, false}, depth));
    each.push_back(std::move(cases));
  }
  Cases all;
  for (uint32_t set = 1; set < (1U << each.size()); ++set) {
    Cases together = {Case{}};
    for (size_t i = 0; i < each.size(); ++i) {
      if (((set >> i) & 1) == 0) continue;
      PUNA_ASSIGN_OR_RETURN(together, Multiply(together, each[i]));
    }
    std::move(together.begin(), together.end(), std::back_inserter(all));
    if (all.size() > kMaxCases) return Multiply(all, {Case{}});  // which says so
  }
  return all;
}

// Each alternative without those that overlap with it. Where that cannot be said, kNarrow takes the
// alternatives as they are: a value of one of them is what the writer of the schema hopes for.
Result<Cases> SchemaCases::ReadOneOf(const Json& schema, const Json& list, int depth) {
  Cases all;
  for (const Json& part : list) {
    PUNA_ASSIGN_OR_RETURN(const Cases itself, OfLiteral({&part, false}, depth));
    Cases exactly = itself;
    for (const Json& other : list) {
      if (&other == &part) continue;
      PUNA_ASSIGN_OR_RETURN(const bool apart, Disjoint({{&part, false}, {&other, false}}, depth));
      if (apart) continue;
      Result<Cases> rest = OfLiteral({&other, true}, depth);
      if (rest) rest = Multiply(exactly, *rest);
      if (!rest && reading_ == SchemaReading::kNarrow) {
        exactly = itself;
        break;
      }
      if (!rest) {
        return Unsupported(
            schema, "\"oneOf\" with overlapping alternatives (" + rest.error().message + ")");
      }
      exactly = *std::move(rest);
    }
    std::move(exactly.begin(), exactly.end(), std::back_inserter(all));
    if (all.size() > kMaxCases) return Multiply(all, {Case{}});
  }
  return all;
}

// if S then T else E: S and T, or not S and E.
Result<Cases> SchemaCases::ReadConditional(const Json& schema, bool negated, int depth) {
  static const Json kTrue = true;
  const auto branch = [&](const char* keyword) -> const Json* {
    const auto it = schema.find(keyword);
    return it == schema.end() ? &kTrue : &*it;
  };
  const Json* condition = branch("if");
  Cases all;
  if (!negated && collecting_ == 0 && branch("then") == &kTrue && branch("else") == &kTrue)
    return Cases{Case{}};
  for (const bool holds : {true, false}) {
    PUNA_ASSIGN_OR_RETURN(const Cases when, OfLiteral({condition, !holds}, depth));
    PUNA_ASSIGN_OR_RETURN(const Cases then,
                          OfLiteral({branch(holds ? "then" : "else"), negated}, depth));
    PUNA_ASSIGN_OR_RETURN(const Cases both, Multiply(when, then));
    all.insert(all.end(), both.begin(), both.end());
  }
  return all;
}

// A property that, when present, asks for others or for a schema.
Result<Cases> SchemaCases::ReadDependencies(const Json& schema, const std::string& keyword,
                                            const Json& value, int depth) {
  static const Json kFalse = false;
  if (!value.is_object()) return Wrong(schema, keyword, "an object");
  Cases all = {Case{}};
  for (const auto& [name, wanted] : value.items()) {
    Case absent;
    absent.objects.push_back({{{name, {&kFalse, false}}}, {}, std::nullopt});
    Cases either = {absent};
    if (wanted.is_array() && keyword != "dependentSchemas") {
      Case present;
      present.required.push_back(name);
      for (const Json& other : wanted) {
        if (!other.is_string()) return Wrong(schema, keyword, "lists of strings");
        present.required.push_back(other.get<std::string>());
      }
      either.push_back(std::move(present));
    } else {
      Case present;
      present.required.push_back(name);
      PUNA_ASSIGN_OR_RETURN(const Cases then, OfLiteral({&wanted, false}, depth));
      PUNA_ASSIGN_OR_RETURN(const Cases both, Multiply({present}, then));
      either.insert(either.end(), both.begin(), both.end());
    }
    PUNA_ASSIGN_OR_RETURN(all, Multiply(all, either));
  }
  return all;
}

Result<bool> SchemaCases::Disjoint(const Literals& literals, int depth) {
  Cases all = {Case{}};
  for (const Literal& literal : literals) {
    PUNA_ASSIGN_OR_RETURN(const Cases cases, OfLiteral(literal, depth));
    PUNA_ASSIGN_OR_RETURN(all, Multiply(all, cases));
  }
  for (const Case& limits : all) {
    PUNA_ASSIGN_OR_RETURN(const bool empty, PlainlyEmpty(limits, 0));
    if (!empty) return false;
  }
  return true;
}

// Looks at constants and at required properties, which is how unions are told apart.
Result<bool> SchemaCases::PlainlyEmpty(const Case& limits, int depth) {
  if (limits.values) {
    for (const Json* value : *limits.values) {
      PUNA_ASSIGN_OR_RETURN(const bool accepted, AcceptsListed(limits, *value));
      if (accepted) return false;
    }
    return true;
  }
  if (limits.types == kStringType && !limits.strings.empty()) {
    CharDfa dfa = *limits.strings[0];
    for (size_t i = 1; i < limits.strings.size(); ++i) {
      PUNA_ASSIGN_OR_RETURN(dfa, Intersect(dfa, *limits.strings[i], effort_));
    }
    return dfa.empty();
  }
  if ((limits.types & kNumberTypes) == limits.types && !limits.numbers.empty()) {
    CharDfa dfa = *limits.numbers[0];
    for (size_t i = 1; i < limits.numbers.size(); ++i) {
      PUNA_ASSIGN_OR_RETURN(dfa, Intersect(dfa, *limits.numbers[i], effort_));
    }
    return dfa.empty();
  }
  if (limits.types != kObjectType || depth >= 3) return false;
  for (const std::string& name : limits.required) {
    PUNA_ASSIGN_OR_RETURN(const Literals literals, OfProperty(limits.objects, name));
    PUNA_ASSIGN_OR_RETURN(const Cases cases, Of(literals));
    bool empty = true;
    for (const Case& each : cases) {
      PUNA_ASSIGN_OR_RETURN(const bool one, PlainlyEmpty(each, depth + 1));
      empty = empty && one;
    }
    if (empty) return true;
  }
  return false;
}

Result<Literals> SchemaCases::OfProperty(const std::vector<ObjectGroup>& groups,
                                         const std::string& name) {
  Literals all;
  for (const ObjectGroup& group : groups) {
    bool known = false;
    PUNA_RETURN_IF_ERROR(effort_->Spend(static_cast<int64_t>(group.properties.size() / 16)));
    for (const auto& [property, literal] : group.properties) {
      if (property != name) continue;
      all.push_back(literal);
      known = true;
    }
    for (const auto& [pattern, literal] : group.patterns) {
      PUNA_ASSIGN_OR_RETURN(const SharedDfa dfa, Pattern(pattern));
      PUNA_RETURN_IF_ERROR(effort_->Spend(static_cast<int64_t>(name.size()) + 4));
      if (!dfa->Accepts(name)) continue;
      all.push_back(literal);
      known = true;
    }
    if (!known && group.additional) all.push_back(*group.additional);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Literals SchemaCases::OfItem(const std::vector<ArrayGroup>& groups, size_t index) {
  Literals all;
  for (const ArrayGroup& group : groups) {
    if (index < group.prefix.size()) {
      all.push_back(group.prefix[index]);
    } else if (group.items) {
      all.push_back(*group.items);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Result<bool> SchemaCases::Accepts(const Literals& literals, const Json& value, int depth) {
  if (depth > SchemaDocument::kMaxDepth) return false;
  PUNA_ASSIGN_OR_RETURN(const Cases cases, Of(literals));
  for (const Case& limits : cases) {
    PUNA_ASSIGN_OR_RETURN(const bool accepted, Accepts(limits, value, depth));
    if (accepted) return true;
  }
  return false;
}

Result<bool> SchemaCases::Accepts(const Case& limits, const Json& value, int depth) {
  const auto is = [&](const Json* other) { return *other == value; };
  if ((TypeOf(value) & limits.types) == 0) return false;
  PUNA_RETURN_IF_ERROR(effort_->Spend(SizeOf(limits)));
  if (limits.values && std::none_of(limits.values->begin(), limits.values->end(), is)) return false;
  if (std::any_of(limits.excluded.begin(), limits.excluded.end(), is)) return false;
  return SatisfiesLimits(limits, value, depth);
}

Result<bool> SchemaCases::AcceptsListed(const Case& limits, const Json& value) {
  if ((TypeOf(value) & limits.types) == 0) return false;
  return SatisfiesLimits(limits, value, 0);
}

Result<bool> SchemaCases::SatisfiesLimits(const Case& limits, const Json& value, int depth) {
  const auto within = [](size_t size, int64_t min, int64_t max) {
    return std::cmp_greater_equal(size, min) && (max < 0 || std::cmp_less_equal(size, max));
  };
  if (value.is_number()) {
    const auto decimal = DecimalOf(value);
    const std::string text = decimal ? decimal->Text() : value.dump();
    return std::all_of(limits.numbers.begin(), limits.numbers.end(),
                       [&](const SharedDfa& dfa) { return dfa->Accepts(text); });
  }
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    const auto chars = static_cast<size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
    return within(chars, limits.min_length, limits.max_length) &&
           std::all_of(limits.strings.begin(), limits.strings.end(),
                       [&](const SharedDfa& dfa) { return dfa->Accepts(text); });
  }
  if (value.is_array()) {
    if (!within(value.size(), limits.min_items, limits.max_items)) return false;
    JsonSet known;
    for (const Json& item : value) {
      if (limits.unique_items && !known.insert(&item).second) return false;
    }
    for (size_t i = 0; i < value.size(); ++i) {
      PUNA_ASSIGN_OR_RETURN(const bool accepted,
                            Accepts(OfItem(limits.arrays, i), value[i], depth + 1));
      if (!accepted) return false;
    }
    for (const ContainsLimit& contains : limits.contains) {
      size_t count = 0;
      for (const Json& item : value) {
        PUNA_ASSIGN_OR_RETURN(const bool accepted, Accepts({contains.what}, item, depth + 1));
        count += accepted ? 1 : 0;
      }
      if (!within(count, contains.min, contains.max)) return false;
    }
  }
  if (value.is_object()) {
    if (!within(value.size(), limits.min_properties, limits.max_properties)) return false;
    for (const std::string& name : limits.required) {
      if (!value.contains(name)) return false;
    }
    for (const auto& [name, member] : value.items()) {
      PUNA_ASSIGN_OR_RETURN(const Literals literals, OfProperty(limits.objects, name));
      PUNA_ASSIGN_OR_RETURN(const bool accepted, Accepts(literals, member, depth + 1));
      PUNA_ASSIGN_OR_RETURN(const bool named, Accepts(limits.names, Json(name), depth + 1));
      if (!accepted || !named) return false;
    }
  }
  return true;
}

}  // namespace puna::grammar
