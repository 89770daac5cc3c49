// A hash table from byte strings to token ids: built once, then read by many threads.
//
// std::unordered_map costs one allocation per key and two dependent loads more per look-up, which
// at 128k tokens is most of the time to load a vocabulary. Here a slot is 16 bytes (address,
// length, 16 bits of the hash, value), probed linearly at a load of at most one half. Keys are not
// copied: whoever inserts keeps their bytes alive.
#ifndef PUNA_TOKENIZER_STRING_TABLE_H_
#define PUNA_TOKENIZER_STRING_TABLE_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace puna::tokenizer {

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

class StringTable {
 public:
  static constexpr int32_t kAbsent = -1;
  static constexpr size_t kMaxKeyBytes = 0xFFFF;  // longer keys are never found

  // Makes room for `keys` keys; Insert grows by itself beyond that.
  void Reserve(size_t keys) {
    const size_t slots = std::bit_ceil(keys + keys / 2 + 2);
    if (slots > slots_.size()) Rehash(slots);
  }

  // False, and no change, if the key is there already or is too long. REQUIRES: value >= 0; `key`
  // outlives the table.
  bool Insert(std::string_view key, int32_t value) {
    if (key.size() > kMaxKeyBytes) return false;
    if (size_ + size_ / 2 + 2 > slots_.size()) Rehash(std::bit_ceil((size_ + 1) * 3));
    const uint64_t hash = HashBytes(key.data(), key.size());
    Slot* slot = Probe(key, hash);
    if (slot->value != kAbsent) return false;
    *slot = {key.data(), value, static_cast<uint16_t>(key.size()), static_cast<uint16_t>(hash)};
    ++size_;
    return true;
  }

  int32_t Find(std::string_view key) const {
    if (size_ == 0 || key.size() > kMaxKeyBytes) return kAbsent;
    return const_cast<StringTable*>(this)->Probe(key, HashBytes(key.data(), key.size()))->value;
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    const char* data = nullptr;
    int32_t value = kAbsent;
    uint16_t size = 0;
    uint16_t tag = 0;
  };

  // The slot of the key, or the empty one where it would go. The index uses the high bits, the tag
  // the low ones.
  Slot* Probe(std::string_view key, uint64_t hash) {
    const size_t mask = slots_.size() - 1;
    for (size_t i = (hash >> 20) & mask;; i = (i + 1) & mask) {
      Slot& slot = slots_[i];
      if (slot.value == kAbsent) return &slot;
      if (slot.tag == static_cast<uint16_t>(hash) && slot.size == key.size() &&
          std::memcmp(slot.data, key.data(), key.size()) == 0) {
        return &slot;
      }
    }
  }

  void Rehash(size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.value == kAbsent) continue;
      const std::string_view key(slot.data, slot.size);
      *Probe(key, HashBytes(key.data(), key.size())) = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two
  size_t size_ = 0;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_STRING_TABLE_H_
