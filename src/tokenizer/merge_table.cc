#include "tokenizer/merge_table.h"

#include "tokenizer/byte_alphabet.h"

namespace puna::tokenizer {

Symbol MergeTable::Intern(std::string_view text) {
  if (const Symbol known = Find(text); known >= 0) return known;
  if (text.size() > StringTable::kMaxKeyBytes) return -1;
  const auto symbol =
      static_cast<Symbol>(vocabulary_size_ + static_cast<int64_t>(extra_texts_.size()));
  extra_texts_.emplace_back(text);
  extra_.Insert(extra_texts_.back(), symbol);
  return symbol;
}

MergeTable::MergeTable(const StringTable& plain_tokens, int64_t vocabulary_size,
                       const std::vector<std::string_view>& merges, bool spelled)
    : plain_tokens_(plain_tokens),
      vocabulary_size_(vocabulary_size),
      byte_merges_(size_t{256} * 256) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_symbols_[static_cast<size_t>(byte)] = Intern({&c, 1});
  }
  slots_.resize(std::bit_ceil(merges.size() + merges.size() / 3 + 2));
  mask_ = slots_.size() - 1;
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 >= merge.size() ||
        merge.size() > StringTable::kMaxKeyBytes)
      continue;
    joined.clear();
    if (spelled) {
      if (!AppendSpelledBytes(merge.substr(0, space), &joined)) continue;
    } else {
      joined += merge.substr(0, space);
    }
    const size_t left_size = joined.size();
    if (spelled) {
      if (!AppendSpelledBytes(merge.substr(space + 1), &joined)) continue;
    } else {
      joined += merge.substr(space + 1);
    }
    const std::string_view text = joined;
    const Symbol left = Intern(text.substr(0, left_size));
    const Symbol right = Intern(text.substr(left_size));
    const Symbol result = Intern(text);
    const uint64_t key = Key(left, right);
    size_t slot = Hash(key) & mask_;
    while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask_;
    if (slots_[slot].key == key) continue;  // the first of equal merges counts
    slots_[slot] = {key, {static_cast<uint32_t>(rank), result}};
    if (left_size == 1 && joined.size() == 2) {
      byte_merges_[size_t{static_cast<uint8_t>(joined[0])} << 8 | static_cast<uint8_t>(joined[1])] =
          slots_[slot].merge;
    }
  }
}

}  // namespace puna::tokenizer
