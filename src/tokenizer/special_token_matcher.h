// Finds special tokens in text before the tokenizer proper sees it.
//
// The result is that of taking the tokens one after another, longest first, and cutting out every
// occurrence that is left (which is how llama.cpp defines it) but the time is that of one walk
// along the text: O(text x longest token) at worst, whatever the number of tokens.
#ifndef PUNA_TOKENIZER_SPECIAL_TOKEN_MATCHER_H_
#define PUNA_TOKENIZER_SPECIAL_TOKEN_MATCHER_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/byte_trie.h"

namespace puna::tokenizer {

// Immutable and thread safe.
class SpecialTokenMatcher {
 public:
  struct Entry {
    std::string_view text;  // not empty; kept by the caller while the matcher lives
    int32_t id = 0;
    bool strips_left = false;
    bool strips_right = false;
  };
  // A stretch of text (id -1, [begin, end) in bytes, not empty) or a token.
  struct Part {
    int32_t id = -1;
    size_t begin = 0;
    size_t end = 0;
  };

  SpecialTokenMatcher() = default;
  explicit SpecialTokenMatcher(std::vector<Entry> entries);

  bool empty() const { return trie_.empty(); }
  // Appends the parts of `text` in order. White space that a token strips belongs to no part.
  void Partition(std::string_view text, std::vector<Part>* parts) const;

 private:
  struct Found {
    int32_t entry = -1;  // -1: none
    size_t begin = 0;
    size_t end = 0;
  };
  // The longest token that starts at `from` and ends by `limit`.
  Found LongestAt(std::string_view text, size_t from, size_t limit) const;
  // The first token at or after `from`.
  Found First(std::string_view text, size_t from, size_t limit) const;
  // A longer token that starts inside `match`, if there is one: the longest, of equals the first.
  Found LongerInside(std::string_view text, const Found& match, size_t limit) const;
  void PartitionRange(std::string_view text, size_t from, size_t limit,
                      std::vector<Part>* parts) const;
  void AddText(std::string_view text, size_t begin, size_t end, bool strip_end,
               std::vector<Part>* parts) const;

  std::vector<Entry> entries_;
  std::vector<bool> may_be_crossed_;  // per entry: a proper suffix begins a longer token
  ByteTrie trie_;                     // value: index into entries_
  size_t longest_bytes_ = 0;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_SPECIAL_TOKEN_MATCHER_H_
