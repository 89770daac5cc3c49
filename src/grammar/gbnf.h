// GBNF, the notation of llama.cpp for grammars: rules "name ::= ...", of which "root" is the start.
// Internal to grammar.
#ifndef PUNA_GRAMMAR_GBNF_H_
#define PUNA_GRAMMAR_GBNF_H_

#include <string_view>

#include "base/result.h"
#include "grammar/expression.h"

namespace puna::grammar {

// kInvalidArgument: "grammar, line N: ..." for what is malformed, and rules that are used and not
// defined. kUnsupported: tokens by number and exclusion of tokens.
Result<ExprId> ReadGbnf(std::string_view text, Expressions* out);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_GBNF_H_
