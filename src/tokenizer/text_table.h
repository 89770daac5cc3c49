// Texts by number, and numbers by text: built once, then read by many threads.
//
// A vocabulary has hundreds of thousands of short texts, so what each costs beside its bytes
// matters: 4 bytes in a list, where it begins, and 6 in a table, which finds the number of a text.
// A slot of a table is a number and 7 bits of the hash, probed linearly at a load of at most two
// thirds; the text to compare with is in the list. With an address and a length in the slot, which
// saves one access of memory, a table is four times as large.
#ifndef PUNA_TOKENIZER_TEXT_TABLE_H_
#define PUNA_TOKENIZER_TEXT_TABLE_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace puna::tokenizer {

class TextList {
 public:
  static constexpr size_t kMaxBytes = 0xFFFFFFFF;

  void Reserve(size_t texts, size_t bytes) {
    begins_.reserve(texts + 1);
    bytes_.reserve(bytes);
  }
  // Views of the texts before are void then. REQUIRES: bytes() + text.size() <= kMaxBytes.
  void Append(std::string_view text) {
    bytes_.append(text);
    begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  void ShrinkToFit() {
    bytes_.shrink_to_fit();
    begins_.shrink_to_fit();
  }

  std::string_view operator[](size_t index) const {
    return {bytes_.data() + begins_[index], begins_[index + 1] - begins_[index]};
  }
  size_t size() const { return begins_.size() - 1; }
  size_t bytes() const { return bytes_.size(); }

 private:
  std::string bytes_;
  std::vector<uint32_t> begins_ = {0};  // the last one is where the next text will begin
};

// A multiply-and-fold hash of 8 bytes at a time. Not meant to resist an attacker: only the author
// of a model file could make keys collide, and gains a slow load of that file.
inline uint64_t HashBytes(const char* data, size_t size) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
  const auto mix = [](uint64_t a) {
    const auto product = static_cast<unsigned __int128>(a) * kMultiplier;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t hash = (size + 1) * kMultiplier;
  while (size >= 8) {
    uint64_t chunk;
    std::memcpy(&chunk, data, 8);
    hash = mix(hash ^ chunk);
    data += 8;
    size -= 8;
  }
  uint64_t tail = 0;
  if (size >= 4) {
    uint32_t low, high;
    std::memcpy(&low, data, 4);
    std::memcpy(&high, data + size - 4, 4);
    tail = low | (uint64_t{high} << 32);
  } else {
    for (size_t i = 0; i < size; ++i) tail = (tail << 8) | static_cast<uint8_t>(data[i]);
  }
  return mix(hash ^ tail);
}

class TextTable {
 public:
  static constexpr int32_t kAbsent = -1;
  static constexpr size_t kMaxNumber = 0xFFFFFF;

  // REQUIRES: the list outlives the table, and stays where it is.
  explicit TextTable(const TextList* texts) : texts_(texts) {}

  // Makes room for so many texts; Insert grows by itself beyond that.
  void Reserve(size_t texts) {
    const size_t slots = SlotsFor(texts);
    if (slots > slots_.size()) Rehash(slots);
  }

  // Makes text `number` of the list known. False, and no change, if an equal one is. REQUIRES: at
  // most kMaxNumber.
  bool Insert(size_t number) {
    if (SlotsFor(size_ + 1) > slots_.size()) Rehash(SlotsFor(2 * size_ + 2));
    const std::string_view text = (*texts_)[number];
    const uint64_t hash = HashBytes(text.data(), text.size());
    const size_t at = Probe(text, hash);
    if (slots_[at] != kEmpty) return false;
    slots_[at] = TagOf(hash) | static_cast<uint32_t>(number);
    ++size_;
    return true;
  }

  // The number of the text, or kAbsent.
  int32_t Find(std::string_view text) const {
    if (size_ == 0) return kAbsent;
    const uint32_t slot = slots_[Probe(text, HashBytes(text.data(), text.size()))];
    return slot == kEmpty ? kAbsent : static_cast<int32_t>(slot & kMaxNumber);
  }

  size_t size() const { return size_; }

  static size_t SlotsFor(size_t texts) { return texts + texts / 2 + 2; }

 private:
  static constexpr uint32_t kEmpty = 0;

  // The tag is of the low bits, the place in the table of the high ones.
  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash) << 24 | 0x80000000; }

  // The slot of the text, or the empty one where it would go.
  size_t Probe(std::string_view text, uint64_t hash) const {
    const uint32_t tag = TagOf(hash);
    for (size_t at = (hash >> 32) * slots_.size() >> 32;;
         at = at + 1 == slots_.size() ? 0 : at + 1) {
      const uint32_t slot = slots_[at];
      if (slot == kEmpty) return at;
      if ((slot & ~uint32_t{kMaxNumber}) == tag && (*texts_)[slot & kMaxNumber] == text) return at;
    }
  }

  void Rehash(size_t slots) {
    std::vector<uint32_t> old(slots);
    old.swap(slots_);
    for (const uint32_t slot : old) {
      if (slot == kEmpty) continue;
      const std::string_view text = (*texts_)[slot & kMaxNumber];
      slots_[Probe(text, HashBytes(text.data(), text.size()))] = slot;
    }
  }

  const TextList* texts_;
  std::vector<uint32_t> slots_;
  size_t size_ = 0;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_TEXT_TABLE_H_
