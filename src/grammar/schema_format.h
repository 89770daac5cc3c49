// "format" of JSON Schema as regular expressions. Internal to grammar.
#ifndef PUNA_GRAMMAR_SCHEMA_FORMAT_H_
#define PUNA_GRAMMAR_SCHEMA_FORMAT_H_

#include <string_view>

#include "base/result.h"
#include "grammar/char_dfa.h"
#include "grammar/grammar.h"

namespace puna::grammar {

// kUnsupported for a format that is not known, naming it. "hostname" is known for kNarrow only:
// which names with encoded characters (xn--...) are valid is nothing that an automaton knows, and
// kNarrow does without them.
Result<CharDfa> FormatDfa(std::string_view format, SchemaReading reading, Effort* effort);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_SCHEMA_FORMAT_H_
