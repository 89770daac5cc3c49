// Every set of schemas that some place must satisfy becomes one rule, made when it is first asked
// for and filled later from a list of work: recursion of the schema becomes recursion of the
// grammar, and nothing here recurses with it. What can never be satisfied is trimmed with the
// automaton.
#include "grammar/schema.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "grammar/json_number.h"
#include "grammar/number_dfa.h"
#include "grammar/regex.h"
#include "grammar/schema_cases.h"
#include "grammar/schema_document.h"

namespace puna::grammar {
namespace {

constexpr size_t kMaxRules = 20'000;
// Patterns of property names that may overlap: each combination is told apart.
constexpr size_t kMaxNamePatterns = 5;
constexpr int64_t kMaxCountedMembers = 20'000;
// Each set of them is a state.
constexpr size_t kMaxUniqueValues = 8;

class SchemaWriter {
 public:
  SchemaWriter(const SchemaDocument* document, SchemaReading reading, Effort* effort,
               Expressions* out)
      : cases_(document, reading, effort), reading_(reading), effort_(effort), out_(*out) {
    space_ = out_.AddRule("white space");
    const ExprId indent = out_.Repeat(out_.Class(CharSet({{' ', ' '}, {'\t', '\t'}})), 0, 20);
    out_.Define(space_,
                out_.Choice({out_.Empty(), out_.Bytes(" "),
                             out_.Sequence({out_.Repeat(out_.Bytes("\n"), 1, 2), indent})}));
  }

  Result<ExprId> Run(const Json& root) {
    const ExprId start = Value({{&root, false}});
    while (!work_.empty()) {
      const auto [rule, literals] = std::move(work_.back());
      work_.pop_back();
      PUNA_ASSIGN_OR_RETURN(const ExprId body, WriteRule(literals));
      out_.Define(rule, body);
      if (rules_.size() > kMaxRules) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "the schema is too complex: more than {} different parts", kMaxRules);
      }
    }
    return start;
  }

  // Of the strings among the values, the bare text, without those that `never` occurs in.
  Result<ExprId> RunText(const Json& root, std::string_view never) {
    PUNA_ASSIGN_OR_RETURN(Cases cases, cases_.Of({{&root, false}}));
    CharDfa all;
    for (Case& limits : cases) {
      if (reading_ == SchemaReading::kNarrow) Narrow(&limits);
      CharDfa strings;
      if (limits.values) {
        PUNA_ASSIGN_OR_RETURN(strings, AcceptedTexts(limits));
      } else if ((limits.types & kStringType) != 0) {
        PUNA_ASSIGN_OR_RETURN(strings, StringDfa(limits));
      }
      PUNA_ASSIGN_OR_RETURN(all, Unite(all, strings, effort_));
    }
    if (!never.empty()) {
      PUNA_ASSIGN_OR_RETURN(const CharDfa holds, CharDfa::OfTextsWith(never, effort_));
      PUNA_ASSIGN_OR_RETURN(all, Subtract(all, holds, effort_));
    }
    PUNA_RETURN_IF_ERROR(SpendOnKeeping(all));
    return out_.Text(std::move(all));
  }

 private:
  // An automaton that stays until the grammar is compiled takes memory, of which there is less than
  // time: some 100 MB.
  Status SpendOnKeeping(const CharDfa& dfa) {
    constexpr int64_t kStepsOfKeeping = 10;
    return effort_->Spend(kStepsOfKeeping * dfa.size());
  }

  ExprId Space() { return out_.Call(space_); }
  // One space behind ":" and, as the shortest white space, behind ",".
  ExprId Colon() { return out_.Sequence({out_.Bytes(":"), out_.Optional(out_.Bytes(" "))}); }
  ExprId Comma() { return out_.Sequence({out_.Bytes(","), Space()}); }

  ExprId Value(Literals literals) {
    std::sort(literals.begin(), literals.end());
    literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
    std::erase_if(literals, [](const Literal& l) {
      return l.schema->is_boolean() && l.schema->get<bool>() != l.negated;
    });
    for (const Literal& literal : literals) {
      if (literal.schema->is_boolean()) return out_.Nothing();
    }
    const auto [rule, is_new] = rules_.try_emplace(literals, 0);
    if (is_new) {
      rule->second = out_.AddRule("value");
      work_.emplace_back(rule->second, std::move(literals));
    }
    return out_.Call(rule->second);
  }

  Result<ExprId> WriteRule(const Literals& literals) {
    PUNA_ASSIGN_OR_RETURN(Cases cases, cases_.Of(literals));
    std::vector<ExprId> choices;
    for (Case& limits : cases) {
      if (reading_ == SchemaReading::kNarrow) Narrow(&limits);
      PUNA_ASSIGN_OR_RETURN(const ExprId choice, WriteCase(limits));
      choices.push_back(choice);
    }
    return out_.Choice(std::move(choices));
  }

  // Keywords of a type imply the type where none is named.
  static void Narrow(Case* limits) {
    if (limits->types_named || limits->values) return;
    uint8_t meant = 0;
    if (!limits->objects.empty() || !limits->required.empty() || limits->min_properties > 0 ||
        limits->max_properties >= 0) {
      meant |= kObjectType;
    }
    if (!limits->arrays.empty() || !limits->contains.empty() || limits->min_items > 0 ||
        limits->max_items >= 0 || limits->unique_items)
      meant |= kArrayType;
    if (!limits->strings.empty() || limits->min_length > 0 || limits->max_length >= 0)
      meant |= kStringType;
    if (!limits->numbers.empty()) meant |= kNumberTypes;
    if (meant != 0 && (limits->types & meant) != 0) limits->types &= meant;
  }

  Result<ExprId> WriteCase(const Case& limits) {
    if (limits.values) return WriteValues(limits);
    std::vector<ExprId> choices;
    const auto may_be = [&](const Json& value) {
      return std::none_of(limits.excluded.begin(), limits.excluded.end(),
                          [&](const Json* other) { return *other == value; });
    };
    if ((limits.types & kNullType) != 0 && may_be(nullptr)) choices.push_back(out_.Bytes("null"));
    if ((limits.types & kBooleanType) != 0) {
      for (const bool value : {true, false}) {
        if (may_be(value)) choices.push_back(out_.Bytes(value ? "true" : "false"));
      }
    }
    using Writer = Result<ExprId> (SchemaWriter::*)(const Case&);
    static constexpr std::pair<uint8_t, Writer> kWriters[] = {
        {kNumberTypes, &SchemaWriter::WriteNumber},
        {kStringType, &SchemaWriter::WriteString},
        {kArrayType, &SchemaWriter::WriteArray},
        {kObjectType, &SchemaWriter::WriteObject}};
    for (const auto& [types, writer] : kWriters) {
      if ((limits.types & types) == 0) continue;
      PUNA_ASSIGN_OR_RETURN(const ExprId choice, (this->*writer)(limits));
      choices.push_back(choice);
    }
    return out_.Choice(std::move(choices));
  }

  // --- constants

  Result<ExprId> WriteValues(const Case& limits) {
    std::vector<ExprId> choices;
    for (const Json* value : *limits.values) {
      if (value->is_string()) continue;
      PUNA_ASSIGN_OR_RETURN(const bool accepted, cases_.AcceptsListed(limits, *value));
      if (accepted) choices.push_back(Constant(*value));
    }
    PUNA_ASSIGN_OR_RETURN(CharDfa strings, AcceptedTexts(limits));
    PUNA_RETURN_IF_ERROR(SpendOnKeeping(strings));
    choices.push_back(out_.String(std::move(strings)));
    return out_.Choice(std::move(choices));
  }

  Result<CharDfa> AcceptedTexts(const Case& limits) {
    CharDfa strings;
    for (const Json* value : *limits.values) {
      if (!value->is_string()) continue;
      PUNA_ASSIGN_OR_RETURN(const bool accepted, cases_.AcceptsListed(limits, *value));
      if (accepted) AddText(value->get_ref<const std::string&>(), &strings);
    }
    return strings;
  }

  // Adds one text to a tree of texts.
  static void AddText(std::string_view text, CharDfa* tree) {
    if (tree->states.empty()) tree->states.emplace_back();
    size_t at = 0;
    while (!text.empty()) {
      const DecodedCodepoint c = DecodeUtf8(text);
      text.remove_prefix(c.length_bytes);
      auto& edges = tree->states[at].edges;
      const CharRange range{c.codepoint, c.codepoint};
      auto edge =
          std::lower_bound(edges.begin(), edges.end(), range,
                           [](const CharDfa::Edge& e, const CharRange& r) { return e.chars < r; });
      if (edge == edges.end() || edge->chars != range) {
        edge = edges.insert(edge, {range, static_cast<int32_t>(tree->states.size())});
        at = static_cast<size_t>(edge->to);
        tree->states.emplace_back();
      } else {
        at = static_cast<size_t>(edge->to);
      }
    }
    tree->states[at].accepting = true;
  }

  ExprId Constant(const Json& value) {
    if (value.is_number()) {
      const auto decimal = DecimalOf(value);
      return out_.Bytes(decimal ? decimal->Text() : value.dump());
    }
    if (!value.is_structured()) return out_.Bytes(DumpJson(value));
    std::vector<ExprId> parts = {out_.Bytes(value.is_object() ? "{" : "["), Space()};
    bool first = true;
    for (const auto& [name, member] : value.items()) {
      if (!first) parts.push_back(Comma());
      first = false;
      if (value.is_object()) {
        parts.push_back(out_.Bytes(DumpJson(Json(name))));
        parts.push_back(Colon());
      }
      parts.push_back(Constant(member));
    }
    if (!first) parts.push_back(Space());
    parts.push_back(out_.Bytes(value.is_object() ? "}" : "]"));
    return out_.Sequence(std::move(parts));
  }

  // --- numbers and strings

  Result<ExprId> WriteNumber(const Case& limits) {
    const uint8_t types = limits.types & kNumberTypes;
    std::vector<SharedDfa> dfas = limits.numbers;
    for (const Json* value : limits.excluded) {
      const auto decimal = value->is_number() ? DecimalOf(*value) : std::nullopt;
      if (!decimal) continue;
      PUNA_ASSIGN_OR_RETURN(CharDfa others,
                            Unite(NumbersThat(Comparison::kBelow, *decimal),
                                  NumbersThat(Comparison::kAbove, *decimal), effort_));
      dfas.push_back(std::make_shared<const CharDfa>(std::move(others)));
    }
    // Models may write digits without end, so kNarrow stops them where a double has no more to say,
    // and exponents before those that are too large for one.
    const bool narrow = reading_ == SchemaReading::kNarrow;
    const std::string whole = narrow ? "-?(?:0|[1-9][0-9]{0,15})" : "-?(?:0|[1-9][0-9]*)";
    const std::string exponent = narrow ? "(?:[eE][+-]?[0-9]{1,2})?" : "(?:[eE][+-]?[0-9]+)?";
    const std::string fraction = narrow ? "(?:\\.[0-9]{1,16})?" : "(?:\\.[0-9]+)?";
    if (dfas.empty() && types != kFractionType)
      return NumberText(types == kIntegerType ? whole : whole + fraction + exponent, {});
    const std::string form = types == kIntegerType    ? "-?(?:0|[1-9][0-9]*)"
                             : types == kFractionType ? "-?(?:0|[1-9][0-9]*)\\.[0-9]*[1-9][0-9]*"
                                                      : "-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?";
    if (narrow) {
      // So many digits are a double's own: with more it might be read as the limit itself. Not if
      // the limits leave only longer numbers.
      const std::string fractional = types == kFractionType ? "\\.[0-9]{0,15}[1-9]" : fraction;
      PUNA_ASSIGN_OR_RETURN(CharDfa exact,
                            ReadRegex("-?[0-9](?:\\.?[0-9]){0,14}", RegexMatch::kWhole, effort_));
      std::vector<SharedDfa> bounded = dfas;
      if (types != kIntegerType)
        bounded.push_back(std::make_shared<const CharDfa>(std::move(exact)));
      PUNA_ASSIGN_OR_RETURN(
          const ExprId some,
          NumberText(types == kIntegerType ? whole : whole + fractional, bounded));
      if (!out_.IsNothing(some)) return some;
    }
    return NumberText(form, dfas);
  }

  Result<ExprId> NumberText(const std::string& form, const std::vector<SharedDfa>& dfas) {
    PUNA_ASSIGN_OR_RETURN(CharDfa all, ReadRegex(form, RegexMatch::kWhole, effort_));
    for (const SharedDfa& dfa : dfas) {
      PUNA_ASSIGN_OR_RETURN(all, Intersect(all, *dfa, effort_));
    }
    PUNA_RETURN_IF_ERROR(SpendOnKeeping(all));
    return out_.Text(std::move(all));
  }

  Result<CharDfa> StringDfa(const Case& limits) {
    PUNA_ASSIGN_OR_RETURN(CharDfa all,
                          CharDfa::OfLength(limits.min_length, limits.max_length, effort_));
    for (const SharedDfa& dfa : limits.strings) {
      PUNA_ASSIGN_OR_RETURN(all, Intersect(all, *dfa, effort_));
    }
    CharDfa excluded;
    for (const Json* value : limits.excluded) {
      if (value->is_string()) AddText(value->get_ref<const std::string&>(), &excluded);
    }
    if (excluded.empty()) return all;
    return Subtract(all, excluded, effort_);
  }

  Result<ExprId> WriteString(const Case& limits) {
    PUNA_ASSIGN_OR_RETURN(CharDfa dfa, StringDfa(limits));
    PUNA_RETURN_IF_ERROR(SpendOnKeeping(dfa));
    return out_.String(std::move(dfa));
  }

  // --- arrays

  Result<ExprId> WriteArray(const Case& limits) {
    int64_t min = limits.min_items;
    for (const Json* value : limits.excluded) {
      if (!value->is_array()) continue;
      if (!value->empty()) return Unsayable("an array that is not a constant");
      min = std::max<int64_t>(min, 1);
    }
    const auto wrap = [&](ExprId items) {
      return out_.Sequence({out_.Bytes("["), Space(), items, out_.Bytes("]")});
    };
    size_t prefix = 0;
    for (const ArrayGroup& group : limits.arrays) prefix = std::max(prefix, group.prefix.size());
    if (limits.unique_items && limits.max_items != 0 && limits.max_items != 1) {
      PUNA_ASSIGN_OR_RETURN(const ExprId items, UniqueItems(limits, min, prefix));
      return wrap(items);
    }
    if (!limits.contains.empty()) {
      PUNA_ASSIGN_OR_RETURN(const ExprId items, CountedItems(limits, min, prefix));
      return wrap(items);
    }
    const auto item = [&](size_t i) { return Value(SchemaCases::OfItem(limits.arrays, i)); };
    const auto first = static_cast<int64_t>(prefix);
    const int64_t max = limits.max_items;
    // Behind the prefix all items are alike.
    ExprId rest =
        out_.Repeat(out_.Sequence({Comma(), item(prefix)}),
                    std::max<int64_t>(0, min - std::max<int64_t>(1, first)),
                    max < 0 ? -1 : std::max<int64_t>(0, max - std::max<int64_t>(1, first)));
    if (max == 0) return wrap(out_.Empty());
    for (size_t i = std::max<size_t>(prefix, 1); i-- > 0;) {
      const auto at = static_cast<int64_t>(i);
      const bool allowed = max < 0 || at < max;
      ExprId with = out_.Sequence({i == 0 ? out_.Empty() : Comma(), item(i), rest});
      if (i == 0) with = out_.Sequence({with, Space()});
      if (i > 0 || allowed) {
        if (!allowed) with = out_.Nothing();
        rest = at >= min ? out_.Choice({out_.Empty(), with}) : with;
      }
      // A rule each keeps the nesting flat.
      const RuleId rule = out_.AddRule("items");
      out_.Define(rule, rest);
      rest = out_.Call(rule);
    }
    return wrap(rest);
  }

  // The values of which an item must be one, each once, if they are listed or follow from the type.
  Result<std::vector<Json>> ListedValues(const Literals& literals) {
    std::vector<Json> all;
    PUNA_ASSIGN_OR_RETURN(const Cases cases, cases_.Of(literals));
    for (const Case& limits : cases) {
      static const Json kFew[] = {nullptr, false, true};
      std::vector<const Json*> values = {&kFew[0], &kFew[1], &kFew[2]};
      if (limits.values) {
        values = *limits.values;
      } else if ((limits.types & ~(kNullType | kBooleanType)) != 0) {
        return Unsayable("\"uniqueItems\" of items that are not from a list of values");
      }
      for (const Json* value : values) {
        PUNA_ASSIGN_OR_RETURN(const bool accepted, limits.values
                                                       ? cases_.AcceptsListed(limits, *value)
                                                       : cases_.Accepts(limits, *value, 0));
        if (!accepted || std::find(all.begin(), all.end(), *value) != all.end()) continue;
        all.push_back(*value);
        if (all.size() > kMaxUniqueValues) return Unsayable("\"uniqueItems\" of so many values");
      }
    }
    return all;
  }

  // Of values from a short list: those that are used up are the state.
  Result<ExprId> UniqueItems(const Case& limits, int64_t min, size_t prefix) {
    if (!limits.contains.empty()) return Unsayable("\"uniqueItems\" together with \"contains\"");
    std::vector<Json> values;
    std::vector<std::vector<size_t>> allowed(prefix + 1);  // by place; behind the prefix all alike
    for (size_t place = 0; place <= prefix; ++place) {
      PUNA_ASSIGN_OR_RETURN(const std::vector<Json> here,
                            ListedValues(SchemaCases::OfItem(limits.arrays, place)));
      for (const Json& value : here) {
        const auto known = std::find(values.begin(), values.end(), value);
        allowed[place].push_back(static_cast<size_t>(known - values.begin()));
        if (known == values.end()) values.push_back(value);
      }
    }
    if (values.size() > kMaxUniqueValues) return Unsayable("\"uniqueItems\" of so many values");
    std::vector<RuleId> rules;
    for (size_t used = 0; used < (size_t{1} << values.size()); ++used)
      rules.push_back(out_.AddRule("items"));
    for (size_t used = 0; used < rules.size(); ++used) {
      const auto place = static_cast<size_t>(std::popcount(used));
      const auto count = static_cast<int64_t>(place);
      std::vector<ExprId> choices;
      if (count >= min) choices.push_back(place == 0 ? out_.Empty() : Space());
      const bool more = limits.max_items < 0 || count < limits.max_items;
      for (const size_t i : allowed[std::min(place, prefix)]) {
        if (!more || ((used >> i) & 1) != 0) continue;
        Case one;
        one.values.emplace(1, &values[i]);
        PUNA_ASSIGN_OR_RETURN(const ExprId value, WriteValues(one));
        choices.push_back(out_.Sequence({place == 0 ? out_.Empty() : Comma(), value,
                                         out_.Call(rules[used | (size_t{1} << i)])}));
      }
      out_.Define(rules[used], out_.Choice(std::move(choices)));
    }
    return out_.Call(rules[0]);
  }

  // With "contains", the items so far and those among them that count are states of their own.
  Result<ExprId> CountedItems(const Case& limits, int64_t min, size_t prefix) {
    if (limits.contains.size() > 1) return Unsayable("more than one \"contains\" at once");
    const ContainsLimit& contains = limits.contains[0];
    const int64_t max = limits.max_items;
    const int64_t places = std::max({min, static_cast<int64_t>(prefix), max, int64_t{1}});
    const int64_t counts = contains.max >= 0 ? contains.max + 1 : contains.min;
    if (places * (counts + 1) > kMaxCountedMembers) return Unsayable("so large a \"contains\"");
    std::map<std::pair<int64_t, int64_t>, RuleId> rules;
    std::vector<std::pair<int64_t, int64_t>> order;
    const auto rule_of = [&](int64_t place, int64_t count) {
      if (max < 0) place = std::min(place, places);
      const auto [it, is_new] = rules.try_emplace({place, std::min(count, counts)}, 0);
      if (is_new) {
        it->second = out_.AddRule("items");
        order.push_back(it->first);
      }
      return out_.Call(it->second);
    };
    const ExprId start = rule_of(0, 0);
    for (size_t i = 0; i < order.size(); ++i) {
      const auto [place, count] = order[i];
      std::vector<ExprId> choices;
      const bool enough = count >= contains.min && (contains.max < 0 || count <= contains.max);
      if (place >= min && enough) choices.push_back(place == 0 ? out_.Empty() : Space());
      if (max < 0 || place < max) {
        const Literals all = SchemaCases::OfItem(limits.arrays, static_cast<size_t>(place));
        const auto then = [&](Literals literals, int64_t next_count) {
          return out_.Sequence({place == 0 ? out_.Empty() : Comma(), Value(std::move(literals)),
                                rule_of(place + 1, next_count)});
        };
        Literals counted = all, other = all;
        counted.push_back(contains.what);
        if (contains.max >= 0) other.push_back({contains.what.schema, !contains.what.negated});
        choices.push_back(then(std::move(counted), count + 1));
        choices.push_back(then(std::move(other), count));
      }
      out_.Define(rules[order[i]], out_.Choice(std::move(choices)));
    }
    return start;
  }

  // --- objects

  struct Property {
    std::string name;
    ExprId value;
    bool required;
  };

  Result<ExprId> WriteObject(const Case& limits) {
    int64_t min = limits.min_properties;
    for (const Json* value : limits.excluded) {
      if (!value->is_object()) continue;
      if (!value->empty()) return Unsayable("an object that is not a constant");
      min = std::max<int64_t>(min, 1);
    }
    PUNA_ASSIGN_OR_RETURN(const std::vector<Property> properties, PropertiesOf(limits));
    PUNA_ASSIGN_OR_RETURN(const ExprId other, OtherProperty(limits, properties));
    PUNA_ASSIGN_OR_RETURN(const ExprId members,
                          Members(properties, other, min, limits.max_properties));
    return out_.Sequence({out_.Bytes("{"), Space(), members, out_.Bytes("}")});
  }

  Result<std::vector<Property>> PropertiesOf(const Case& limits) {
    std::vector<Property> all;
    std::map<std::string, size_t, std::less<>> known;
    const auto add = [&](const std::string& name) -> Status {
      if (!known.try_emplace(name, all.size()).second) return {};
      PUNA_ASSIGN_OR_RETURN(Literals literals, cases_.OfProperty(limits.objects, name));
      PUNA_ASSIGN_OR_RETURN(const bool named, cases_.Accepts(limits.names, Json(name)));
      all.push_back({name, named ? Value(std::move(literals)) : out_.Nothing(), false});
      return {};
    };
    for (const ObjectGroup& group : limits.objects) {
      for (const auto& [name, literal] : group.properties) PUNA_RETURN_IF_ERROR(add(name));
    }
    for (const std::string& name : limits.required) {
      PUNA_RETURN_IF_ERROR(add(name));
      all[known[name]].required = true;
    }
    return all;
  }

  // `"name": value` for all names but those of `properties`.
  Result<ExprId> OtherProperty(const Case& limits, const std::vector<Property>& properties) {
    std::vector<std::string> patterns;
    bool closed = false, opened = false;
    for (const ObjectGroup& group : limits.objects) {
      for (const auto& [pattern, literal] : group.patterns) {
        if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end())
          patterns.push_back(pattern);
        if (patterns.size() > kMaxNamePatterns) break;
      }
      closed = closed || group.lists_properties;
      opened = opened || group.additional || !group.patterns.empty();
    }
    if (reading_ == SchemaReading::kNarrow && closed && !opened) return out_.Nothing();
    if (patterns.size() > kMaxNamePatterns) return Unsayable("so many \"patternProperties\"");
    CharDfa names = CharDfa::Anything();
    if (!limits.names.empty()) {
      PUNA_ASSIGN_OR_RETURN(names, NamesThat(limits.names));
    }
    CharDfa taken;
    for (const Property& property : properties) AddText(property.name, &taken);
    PUNA_ASSIGN_OR_RETURN(names, Subtract(names, taken, effort_));
    std::vector<ExprId> choices;
    for (uint32_t matched = 0; matched < (1u << patterns.size()); ++matched) {
      CharDfa these = names;
      for (size_t i = 0; i < patterns.size(); ++i) {
        PUNA_ASSIGN_OR_RETURN(const SharedDfa dfa, cases_.Pattern(patterns[i]));
        PUNA_ASSIGN_OR_RETURN(these, ((matched >> i) & 1) != 0 ? Intersect(these, *dfa, effort_)
                                                               : Subtract(these, *dfa, effort_));
      }
      const auto matches = [&](const std::string& pattern) {
        const auto i = std::find(patterns.begin(), patterns.end(), pattern) - patterns.begin();
        return ((matched >> i) & 1) != 0;
      };
      Literals literals;
      for (const ObjectGroup& group : limits.objects) {
        bool any = false;
        for (const auto& [pattern, literal] : group.patterns) {
          if (!matches(pattern)) continue;
          literals.push_back(literal);
          any = true;
        }
        if (!any && group.additional) literals.push_back(*group.additional);
      }
      PUNA_RETURN_IF_ERROR(SpendOnKeeping(these));
      choices.push_back(
          out_.Sequence({out_.String(std::move(these)), Colon(), Value(std::move(literals))}));
    }
    return out_.Choice(std::move(choices));
  }

  // The strings that satisfy `literals`.
  Result<CharDfa> NamesThat(const Literals& literals) {
    PUNA_ASSIGN_OR_RETURN(const Cases cases, cases_.Of(literals));
    CharDfa all;
    for (const Case& limits : cases) {
      if ((limits.types & kStringType) == 0) continue;
      CharDfa dfa;
      if (limits.values) {
        PUNA_ASSIGN_OR_RETURN(dfa, AcceptedTexts(limits));
      } else {
        PUNA_ASSIGN_OR_RETURN(dfa, StringDfa(limits));
      }
      PUNA_ASSIGN_OR_RETURN(all, Unite(all, dfa, effort_));
    }
    return all;
  }

  // One rule for each place in the list of properties and, as far as it matters, each number of
  // them written so far.
  Result<ExprId> Members(const std::vector<Property>& properties, ExprId other, int64_t min,
                         int64_t max) {
    const int64_t counts = std::max({int64_t{1}, min, max});
    if (static_cast<int64_t>(properties.size() + 1) * (counts + 1) > kMaxCountedMembers)
      return Unsayable("so large a number of properties");
    std::map<std::pair<size_t, int64_t>, RuleId> rules;
    std::vector<std::pair<size_t, int64_t>> order;
    const auto rule_of = [&](size_t place, int64_t count) {
      const auto [it, is_new] =
          rules.try_emplace({place, max < 0 ? std::min(count, counts) : count}, 0);
      if (is_new) {
        it->second = out_.AddRule("properties");
        order.push_back(it->first);
      }
      return out_.Call(it->second);
    };
    const ExprId start = rule_of(0, 0);
    for (size_t i = 0; i < order.size(); ++i) {
      const auto [place, count] = order[i];
      const ExprId comma = count == 0 ? out_.Empty() : Comma();
      std::vector<ExprId> choices;
      if (place < properties.size()) {
        const Property& property = properties[place];
        if (!property.required) choices.push_back(rule_of(place + 1, count));
        if (max < 0 || count < max) {
          choices.push_back(
              out_.Sequence({comma, out_.Bytes(DumpJson(Json(property.name))), Colon(),
                             property.value, rule_of(place + 1, count + 1)}));
        }
      } else {
        const int64_t missing = std::max<int64_t>(0, min - count);
        const int64_t left = max < 0 ? -1 : max - count;
        if (missing == 0) choices.push_back(count == 0 ? out_.Empty() : Space());
        if (left != 0) {
          const ExprId more =
              out_.Repeat(out_.Sequence({Comma(), other}), std::max<int64_t>(0, missing - 1),
                          left < 0 ? -1 : left - 1);
          choices.push_back(out_.Sequence({comma, other, more, Space()}));
        }
      }
      out_.Define(rules[order[i]], out_.Choice(std::move(choices)));
    }
    return start;
  }

  static tl::unexpected<Error> Unsayable(std::string_view what) {
    return MakeError(ErrorCode::kUnsupported, "schema: {} is not supported", what);
  }

  SchemaCases cases_;
  SchemaReading reading_;
  Effort* effort_;
  Expressions& out_;
  RuleId space_;
  std::map<Literals, RuleId> rules_;
  std::vector<std::pair<RuleId, Literals>> work_;
};

}  // namespace

namespace {

Result<SchemaDocument> ReadDocument(const Json& schema, Effort* effort) {
  if (!schema.is_object() && !schema.is_boolean()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a schema must be an object, true or false, not {}", schema.type_name());
  }
  return SchemaDocument::Read(schema, effort);
}

}  // namespace

Result<ExprId> ReadSchema(const Json& schema, SchemaReading reading, Effort* effort,
                          Expressions* out) {
  PUNA_ASSIGN_OR_RETURN(const SchemaDocument document, ReadDocument(schema, effort));
  return SchemaWriter(&document, reading, effort, out).Run(schema);
}

Result<ExprId> ReadSchemaText(const Json& schema, SchemaReading reading, std::string_view never,
                              Effort* effort, Expressions* out) {
  PUNA_ASSIGN_OR_RETURN(const SchemaDocument document, ReadDocument(schema, effort));
  return SchemaWriter(&document, reading, effort, out).RunText(schema, never);
}

}  // namespace puna::grammar
