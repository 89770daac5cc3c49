#include "tokenizer/merge_table.h"

#include "tokenizer/byte_alphabet.h"

namespace puna::tokenizer {
namespace {

// Longer merges are passed over.
constexpr size_t kMaxMergeBytes = 0xFFFF;

}  // namespace

Symbol MergeTable::Intern(std::string_view text) {
  if (const Symbol known = Find(text); known >= 0) return known;
  const size_t number = extra_texts_.size();
  if (number > TextTable::kMaxNumber || extra_texts_.bytes() + text.size() > TextList::kMaxBytes)
    return -1;
  extra_texts_.Append(text);
  extra_.Insert(number);
  return static_cast<Symbol>(vocabulary_size_ + static_cast<int64_t>(number));
}

MergeTable::MergeTable(const TextTable& plain_tokens, int64_t vocabulary_size,
                       const std::vector<std::string_view>& merges, bool spelled)
    : plain_tokens_(plain_tokens),
      vocabulary_size_(vocabulary_size),
      byte_merges_(size_t{256} * 256) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_symbols_[static_cast<size_t>(byte)] = Intern({&c, 1});
  }
  slots_.resize(TextTable::SlotsFor(merges.size()));
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 >= merge.size() ||
        merge.size() > kMaxMergeBytes)
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
    if (left < 0 || right < 0 || result < 0) continue;
    const uint64_t key = Key(left, right);
    const size_t slot = Probe(key);
    if (slots_[slot].key == key) continue;  // the first of equal merges counts
    slots_[slot] = {key, {static_cast<uint32_t>(rank), result}};
    if (left_size == 1 && joined.size() == 2) {
      byte_merges_[size_t{static_cast<uint8_t>(joined[0])} << 8 | static_cast<uint8_t>(joined[1])] =
          slots_[slot].merge;
    }
  }
  extra_texts_.ShrinkToFit();
}

}  // namespace puna::tokenizer
