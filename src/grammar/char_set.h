// A set of Unicode characters as sorted ranges. Surrogates are in no set.
#ifndef PUNA_GRAMMAR_CHAR_SET_H_
#define PUNA_GRAMMAR_CHAR_SET_H_

#include <compare>
#include <cstdint>
#include <vector>

namespace puna::grammar {

inline constexpr char32_t kLastChar = 0x10FFFF;

struct CharRange {
  char32_t first = 0;
  char32_t last = 0;  // inclusive
  auto operator<=>(const CharRange&) const = default;
};

class CharSet {
 public:
  CharSet() = default;
  explicit CharSet(std::vector<CharRange> ranges);
  static CharSet All();
  static CharSet Of(char32_t c) { return CharSet({{c, c}}); }

  const std::vector<CharRange>& ranges() const { return ranges_; }  // sorted, with gaps between
  bool empty() const { return ranges_.empty(); }
  bool Contains(char32_t c) const;
  bool Covers(const CharSet& other) const;

  CharSet Complement() const;
  CharSet Union(const CharSet& other) const;
  CharSet Intersection(const CharSet& other) const;
  CharSet Minus(const CharSet& other) const { return Intersection(other.Complement()); }

  auto operator<=>(const CharSet&) const = default;

 private:
  std::vector<CharRange> ranges_;
};

// The characters that stand for themselves in a JSON string, but for DEL, which some grammars leave
// out. Tokens made of these are the bulk of a vocabulary; see token_trie.h.
const CharSet& PlainChars();
inline bool IsPlainChar(char32_t c) { return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F; }

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_CHAR_SET_H_
