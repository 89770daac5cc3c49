// Whether a grammar accepts a JSON value when the properties of objects may be put in any order,
// for judging values that others wrote. Internal to grammar.
#ifndef PUNA_GRAMMAR_JSON_ORDER_H_
#define PUNA_GRAMMAR_JSON_ORDER_H_

#include <string_view>

#include "base/result.h"
#include "grammar/automaton.h"

namespace puna::grammar {

// The value is written compactly, numbers without exponent and without zeros that say nothing.
// kInvalidArgument: `json` is malformed. kResourceExhausted: too many orders to try.
Result<bool> AcceptsInSomeOrder(const Automaton& automaton, std::string_view json);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_JSON_ORDER_H_
