// The escapes that GBNF and regular expressions have in common. Internal to grammar.
#ifndef PUNA_GRAMMAR_ESCAPE_H_
#define PUNA_GRAMMAR_ESCAPE_H_

#include <optional>

namespace puna::grammar {

// The control character that a letter behind a backslash stands for.
inline std::optional<char32_t> ControlEscape(char letter) {
  switch (letter) {
    case 't':
      return U'\t';
    case 'n':
      return U'\n';
    case 'r':
      return U'\r';
    case 'v':
      return U'\v';
    case 'f':
      return U'\f';
    default:
      return std::nullopt;
  }
}

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_ESCAPE_H_
