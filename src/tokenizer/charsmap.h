// SentencePiece's precompiled_charsmap: a table of replacements that normalizes text (NFKC and the
// like) before Unigram.
//
// The blob is a 32-bit length, a double-array trie of that many bytes whose leaves hold offsets,
// and the replacements as strings that end with a zero byte.
// https://github.com/google/sentencepiece/blob/master/src/normalizer.cc
#ifndef PUNA_TOKENIZER_CHARSMAP_H_
#define PUNA_TOKENIZER_CHARSMAP_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace puna::tokenizer {

// Immutable and thread safe. Owns its data.
class Charsmap {
 public:
  Charsmap() = default;  // replaces nothing
  // kCorrupt if the lengths contradict each other. Offsets inside the trie are checked when they
  // are used: one that leads outside matches nothing.
  static Result<Charsmap> Parse(const std::vector<uint8_t>& blob);

  struct Replacement {
    std::string_view text;    // may be empty
    size_t length_bytes = 0;  // of what it replaces; 0: nothing matches
  };
  // The replacement of the longest prefix of `text` that has one.
  Replacement Find(std::string_view text) const;

 private:
  std::vector<uint32_t> trie_;
  std::vector<char> replacements_;  // ends with a zero byte
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_CHARSMAP_H_
