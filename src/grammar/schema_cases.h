// From schemas to cases: what each keyword means, and what its negation means. Internal to grammar.
#ifndef PUNA_GRAMMAR_SCHEMA_CASES_H_
#define PUNA_GRAMMAR_SCHEMA_CASES_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/effort.h"
#include "grammar/grammar.h"
#include "grammar/schema_case.h"
#include "grammar/schema_document.h"

namespace puna::grammar {

class SchemaCases {
 public:
  SchemaCases(const SchemaDocument* document, SchemaReading reading, Effort* effort)
      : document_(document), reading_(reading), effort_(effort) {}

  // A value satisfies all of `literals` exactly if it satisfies one of the cases. Errors as of
  // ReadSchema.
  Result<Cases> Of(const Literals& literals);
  // Whether a value satisfies them, decided without a grammar.
  Result<bool> Accepts(const Literals& literals, const Json& value, int depth = 0);
  Result<bool> Accepts(const Case& limits, const Json& value, int depth);
  // The same of one of the values that `limits` lists.
  Result<bool> AcceptsListed(const Case& limits, const Json& value);
  // What a property of that name must satisfy; looks at all that are named.
  Result<Literals> OfProperty(const std::vector<ObjectGroup>& groups, const std::string& name);
  // What the item at `index` must satisfy.
  static Literals OfItem(const std::vector<ArrayGroup>& groups, size_t index);
  // What a pattern finds somewhere in a text.
  Result<SharedDfa> Pattern(const std::string& pattern);

 private:
  static constexpr size_t kMaxCases = 500;

  Result<Cases> OfLiteral(Literal literal, int depth);
  Result<Cases> OfObject(const Json& schema, int depth);
  Result<Cases> OfNegated(const Json& schema, int depth);
  // Whether a keyword limits values by itself.
  Result<bool> IsLimit(const Json& schema, const std::string& keyword);
  // Adds to `limits`, of a schema whose other keywords they are, what "unevaluatedProperties" and
  // "unevaluatedItems" of that schema say.
  Status AddUnevaluated(const Json& schema, Case* limits) const;
  Status ReadSimple(const Json& schema, const std::string& keyword, const Json& value, Case* out);
  Status ReadNumberKeyword(const Json& schema, const std::string& keyword, const Json& value,
                           Case* out);
  Status ReadStringKeyword(const Json& schema, const std::string& keyword, const Json& value,
                           Case* out);
  Status ReadObjectKeyword(const Json& schema, const std::string& keyword, const Json& value,
                           Case* out);
  Status ReadArrayKeyword(const Json& schema, const std::string& keyword, const Json& value,
                          Case* out);
  Result<Cases> ReadCombining(const Json& schema, const std::string& keyword, const Json& value,
                              int depth);
  Result<Cases> ReadAnyOf(const Json& list, int depth);
  Result<Cases> ReadOneOf(const Json& schema, const Json& list, int depth);
  Result<Cases> ReadDependencies(const Json& schema, const std::string& keyword, const Json& value,
                                 int depth);
  Result<Cases> ReadConditional(const Json& schema, bool negated, int depth);
  Result<Cases> NegateKeyword(const Json& schema, const std::string& keyword, const Json& value,
                              int depth);
  Result<Cases> NegateSimple(const Json& schema, const std::string& keyword, const Json& value);
  Result<Cases> NegateItems(const Json& schema, const std::string& keyword, const Json& value);
  // Whether no value satisfies both, as far as a shallow look tells.
  Result<bool> Disjoint(const Literals& literals, int depth);
  Result<bool> PlainlyEmpty(const Case& limits, int depth);

  // Accepts, of a value whose type is right and that is neither excluded nor missing in a list.
  Result<bool> SatisfiesLimits(const Case& limits, const Json& value, int depth);
  Result<Cases> Multiply(const Cases& a, const Cases& b);
  tl::unexpected<Error> Wrong(const Json& schema, std::string_view keyword,
                              std::string_view expected) const;
  tl::unexpected<Error> Unsupported(const Json& schema, std::string_view what) const;
  Status CheckList(const Json& schema, const std::string& keyword, const Json& value) const;
  Result<int64_t> ReadCount(const Json& schema, const std::string& keyword,
                            const Json& value) const;
  template <typename T>
  Result<T> AtPlace(const Json& schema, std::string_view keyword, Result<T> result) const;

  const SchemaDocument* document_;
  SchemaReading reading_;
  Effort* effort_;
  std::map<std::string, SharedDfa> patterns_, formats_;
  std::vector<Literal> open_;  // being read: one of them again would never end
  // Some schema being read asks what its parts have evaluated: then alternatives are told apart by
  // all that hold at once.
  int collecting_ = 0;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_SCHEMA_CASES_H_
