// The merges of a byte-pair vocabulary, on integers: symbols instead of strings.
//
// A symbol is whatever a merge can join or produce: the token of that text where there is one (its
// id), else an extra symbol numbered from the vocabulary's size on. llama.cpp looks pairs of
// strings up; this is the same relation, because a symbol and its text determine each other.
#ifndef PUNA_TOKENIZER_MERGE_TABLE_H_
#define PUNA_TOKENIZER_MERGE_TABLE_H_

#include <array>
#include <bit>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/string_table.h"

namespace puna::tokenizer {

using Symbol = int32_t;

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = 0xFFFFFFFF;

  struct Merge {
    uint32_t rank = kNoRank;  // lower goes first
    Symbol result = -1;
  };

  // Immutable afterwards. `plain_tokens`: text (in bytes) to id, which must outlive the table;
  // extra symbols start at `vocabulary_size`. `merges`: "left right", best first; with `spelled` in
  // the GPT-2 byte alphabet, else as they are. What is not a merge (no space, characters outside
  // the alphabet) can never apply and is passed over.
  MergeTable(const StringTable& plain_tokens, int64_t vocabulary_size,
             const std::vector<std::string_view>& merges, bool spelled);

  Merge Find(Symbol left, Symbol right) const {
    const uint64_t key = Key(left, right);
    for (size_t i = Hash(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].merge;
      if (slots_[i].key == kEmpty) return {};
    }
  }

  // The symbol of a single byte, and the merge of two bytes: no hashing for the first step of every
  // word.
  Symbol OfByte(uint8_t byte) const { return byte_symbols_[byte]; }
  Merge FindBytes(uint8_t left, uint8_t right) const {
    return byte_merges_[size_t{left} << 8 | right];
  }

  // The symbol of a text, or -1.
  Symbol Find(std::string_view text) const {
    const Symbol token = plain_tokens_.Find(text);
    return token >= 0 ? token : extra_.Find(text);
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t Key(Symbol left, Symbol right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  static size_t Hash(uint64_t key) { return (key * 0x9E3779B97F4A7C15) >> 32; }

  Symbol Intern(std::string_view text);

  const StringTable& plain_tokens_;
  int64_t vocabulary_size_;
  StringTable extra_;
  std::deque<std::string> extra_texts_;
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  std::array<Symbol, 256> byte_symbols_;
  std::vector<Merge> byte_merges_;  // [256 * 256]
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_MERGE_TABLE_H_
