// The merges of a byte-pair vocabulary, on integers: symbols instead of strings.
//
// A symbol is whatever a merge can join or produce: the token of that text where there is one (its
// id), else an extra symbol numbered from the vocabulary's size on. llama.cpp looks pairs of
// strings up; this is the same relation, because a symbol and its text determine each other.
#ifndef PUNA_TOKENIZER_MERGE_TABLE_H_
#define PUNA_TOKENIZER_MERGE_TABLE_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/text_table.h"

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
  MergeTable(const TextTable& plain_tokens, int64_t vocabulary_size,
             const std::vector<std::string_view>& merges, bool spelled);
  MergeTable(const MergeTable&) = delete;
  MergeTable& operator=(const MergeTable&) = delete;

  Merge Find(Symbol left, Symbol right) const {
    const uint64_t key = Key(left, right);
    return slots_[Probe(key)].merge;
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
    if (token >= 0) return token;
    const int32_t extra = extra_.Find(text);
    return extra < 0 ? -1 : static_cast<Symbol>(vocabulary_size_ + extra);
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
  // The slot of the key, or the empty one where it would go.
  size_t Probe(uint64_t key) const {
    size_t at = (key * 0x9E3779B97F4A7C15 >> 32) * slots_.size() >> 32;
    while (slots_[at].key != key && slots_[at].key != kEmpty)
      at = at + 1 == slots_.size() ? 0 : at + 1;
    return at;
  }

  // The symbol of a text, an extra one if it has none yet; -1 if there are too many of these.
  Symbol Intern(std::string_view text);

  const TextTable& plain_tokens_;
  int64_t vocabulary_size_;
  TextList extra_texts_;
  TextTable extra_{&extra_texts_};
  std::vector<Slot> slots_;  // at a load of at most two thirds
  std::array<Symbol, 256> byte_symbols_;
  std::vector<Merge> byte_merges_;  // [256 * 256]
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_MERGE_TABLE_H_
