// Unicode's general categories as sets of characters. Internal to grammar.
#ifndef PUNA_GRAMMAR_UNICODE_CATEGORY_H_
#define PUNA_GRAMMAR_UNICODE_CATEGORY_H_

#include <optional>
#include <string_view>

#include "grammar/char_set.h"

namespace puna::grammar {

// "L", "Lu", "Letter", "Uppercase_Letter" and so on, also behind "General_Category=" or "gc=";
// nullopt for a name that is no general category. The first use takes some milliseconds.
std::optional<CharSet> CharsOfCategory(std::string_view name);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_UNICODE_CATEGORY_H_
