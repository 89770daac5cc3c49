// Regular expressions of JSON Schema: the regular part of ECMAScript's, over Unicode characters.
// Internal to grammar.
#ifndef PUNA_GRAMMAR_REGEX_H_
#define PUNA_GRAMMAR_REGEX_H_

#include <string_view>

#include "base/result.h"
#include "grammar/char_dfa.h"

namespace puna::grammar {

enum class RegexMatch {
  kWhole,     // the pattern matches the whole text
  kAnywhere,  // it matches somewhere in the text, as JSON Schema wants
};

// kInvalidArgument: malformed, too complex, or `effort` is at its end. kUnsupported: look-around,
// back references, word boundaries and Unicode properties but for a few categories, which the
// message names.
Result<CharDfa> ReadRegex(std::string_view pattern, RegexMatch match, Effort* effort);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_REGEX_H_
