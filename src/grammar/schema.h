// JSON Schema (2020-12) as expressions. Internal to grammar.
#ifndef PUNA_GRAMMAR_SCHEMA_H_
#define PUNA_GRAMMAR_SCHEMA_H_

#include "base/json.h"
#include "base/result.h"
#include "grammar/expression.h"
#include "grammar/grammar.h"

namespace puna::grammar {

// The values that `schema` accepts, as JSON. kInvalidArgument: not a schema, or beyond a limit;
// kUnsupported: a keyword, or a use of one, that a grammar cannot say. Messages name the place.
Result<ExprId> ReadSchema(const Json& schema, SchemaReading reading, Effort* effort,
                          Expressions* out);

// The strings that `schema` accepts, without quotes and escapes, and without those that contain
// `never` where that is not empty.
Result<ExprId> ReadSchemaText(const Json& schema, SchemaReading reading, std::string_view never,
                              Effort* effort, Expressions* out);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_SCHEMA_H_
