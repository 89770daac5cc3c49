// Comparing and shortening text. Thread safe, no state.
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

// A message as it is shown: of a word that is too long to be read, such as a name of ten kilobytes
// that is echoed, the beginning and the end stay.
std::string Shortened(std::string_view message);

}  // namespace puna

#endif  // PUNA_BASE_TEXT_H_
