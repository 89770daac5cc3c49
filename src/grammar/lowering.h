// From expressions to the automaton over bytes. Internal to grammar.
#ifndef PUNA_GRAMMAR_LOWERING_H_
#define PUNA_GRAMMAR_LOWERING_H_

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/expression.h"

namespace puna::grammar {

Result<Automaton> Lower(const Expressions& expressions, ExprId root);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_LOWERING_H_
