// Comparing, searching and showing text. Thread safe, no state.
#ifndef PUNA_BASE_TEXT_H_
#define PUNA_BASE_TEXT_H_

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace puna {

// Only ASCII letters are folded.
inline bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

inline bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix) {
  return EqualIgnoringCase(text.substr(0, prefix.size()), prefix);
}

// Only ASCII letters are changed.
inline std::string LowerCase(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return out;
}

inline std::string_view WithoutSpaceAround(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

// Where `part` stands first in `text` from `from` on, or last; npos if nowhere. In the time of
// their lengths together, where the functions of the standard library take that of their product:
// for texts that strangers choose both of.
size_t FindText(std::string_view text, std::string_view part, size_t from = 0);
size_t FindLastText(std::string_view text, std::string_view part);

// The text with its control characters and what is no UTF-8 written as \n, \r, \t or \xNN: one line
// that leaves a terminal as it is.
std::string OnOneLine(std::string_view text);

// A message as it is shown: of a word that is too long to be read, such as a name of ten kilobytes
// that is echoed, the beginning and the end stay.
std::string Shortened(std::string_view message);

}  // namespace puna

#endif  // PUNA_BASE_TEXT_H_
