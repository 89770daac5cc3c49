// Sets of numbers as automata over their decimal texts, "-12.5". Exponents are in none of them, so
// a number has one text up to zeros behind the point. Internal to grammar.
#ifndef PUNA_GRAMMAR_NUMBER_DFA_H_
#define PUNA_GRAMMAR_NUMBER_DFA_H_

#include "base/result.h"
#include "grammar/char_dfa.h"
#include "grammar/json_number.h"

namespace puna::grammar {

enum class Comparison { kAtLeast, kAbove, kAtMost, kBelow, kEqual };

// The numbers that compare so with `bound`.
CharDfa NumbersThat(Comparison comparison, const Decimal& bound);

// kUnsupported if `divisor` has too many digits to keep a remainder; kInvalidArgument if it is not
// positive.
Result<CharDfa> MultiplesOf(const Decimal& divisor);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_NUMBER_DFA_H_
