// What a schema comes down to: a list of cases, of which a value must satisfy one. A case is a
// plain conjunction of limits per type; "allOf" multiplies cases, "anyOf" adds them. Internal to
// grammar.
#ifndef PUNA_GRAMMAR_SCHEMA_CASE_H_
#define PUNA_GRAMMAR_SCHEMA_CASE_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "grammar/char_dfa.h"

namespace puna::grammar {

// A schema, or what it rejects.
struct Literal {
  const Json* schema = nullptr;
  bool negated = false;
  auto operator<=>(const Literal&) const = default;
};
// All of them must hold.
using Literals = std::vector<Literal>;

// Integers and other numbers are told apart, so that "not an integer" can be said.
enum TypeBit : uint8_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kFractionType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
};
inline constexpr uint8_t kNumberTypes = kIntegerType | kFractionType;
inline constexpr uint8_t kAllTypes = 127;
uint8_t TypeOf(const Json& value);

// Finds equal values in logarithmic time.
struct JsonLess {
  bool operator()(const Json* a, const Json* b) const { return *a < *b; }
};
using JsonSet = std::set<const Json*, JsonLess>;

using SharedDfa = std::shared_ptr<const CharDfa>;

// The keywords of one schema object that only mean something together.
struct ObjectGroup {
  std::vector<std::pair<std::string, Literal>> properties;
  std::vector<std::pair<std::string, Literal>> patterns;  // by regular expression
  std::optional<Literal> additional;
  bool lists_properties = false;  // "properties" is there, if only to name none
  // Members that it names count as evaluated, which "unevaluatedProperties" asks for: not so those
  // that something only rules out.
  bool evaluates = true;
};
struct ArrayGroup {
  Literals prefix;
  std::optional<Literal> items;
  bool evaluates = true;
};
struct ContainsLimit {
  Literal what;
  int64_t min = 1, max = -1;
  bool evaluates = true;
};

// Limits count for values of their type only. A max below 0 is none.
struct Case {
  uint8_t types = kAllTypes;
  bool types_named = false;  // somebody wrote down which
  // Constants of the schema, where they stay. In what Both gives, no value is excluded or of
  // another type.
  std::optional<std::vector<const Json*>> values;
  std::vector<const Json*> excluded;
  std::vector<SharedDfa> numbers;  // over decimal texts
  std::vector<SharedDfa> strings;  // over their values
  int64_t min_length = 0, max_length = -1;
  std::vector<ArrayGroup> arrays;
  std::vector<ContainsLimit> contains;
  int64_t min_items = 0, max_items = -1;
  bool unique_items = false;
  std::vector<ObjectGroup> objects;
  std::vector<std::string> required;
  Literals names;  // of properties
  int64_t min_properties = 0, max_properties = -1;
};
using Cases = std::vector<Case>;

// Everything that both ask for; nothing if that is plainly impossible.
std::optional<Case> Both(const Case& a, const Case& b);

// How many parts a case consists of, for what it costs to copy and to combine.
int64_t SizeOf(const Case& limits);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_SCHEMA_CASE_H_
