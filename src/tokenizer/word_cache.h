// Remembers the ids of short words, per thread: natural text repeats few words, and a hit costs one
// cache line.
//
// Direct mapped, overwriting: a slot is 64 bytes with the word in it, so a look-up neither chases
// pointers nor allocates. One table per thread serves all tokenizers (each has a serial number,
// part of the key), so nothing is shared or locked and memory is 256 KiB per thread whatever users
// send.
#ifndef PUNA_TOKENIZER_WORD_CACHE_H_
#define PUNA_TOKENIZER_WORD_CACHE_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

namespace puna::tokenizer {

class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 24;
  static constexpr int kMaxIds = 7;

  struct Key {
    std::array<uint64_t, 3> words{};  // the word, padded with zeros
    uint32_t tag = 0;                 // serial number of the tokenizer and length of the word
  };
  struct alignas(64) Slot {
    Key key;
    int32_t count = 0;
    std::array<int32_t, kMaxIds> ids;
  };

  static WordCache& OfThisThread() {
    thread_local WordCache cache;
    return cache;
  }

  // REQUIRES: 0 < size <= kMaxWordBytes. Up to kMaxWordBytes may be read from `data` if
  // `readable_bytes` allows it.
  static Key MakeKey(const char* data, size_t size, size_t readable_bytes, uint32_t serial) {
    Key key;
    if (readable_bytes >= kMaxWordBytes) {
      std::memcpy(key.words.data(), data, kMaxWordBytes);
      for (size_t i = 0; i < 3; ++i) {
        const size_t used = size > i * 8 ? size - i * 8 : 0;
        if (used < 8) key.words[i] &= (uint64_t{1} << (used * 8)) - 1;
      }
    } else {
      std::memcpy(key.words.data(), data, size);
    }
    key.tag = serial << 5 | static_cast<uint32_t>(size);
    return key;
  }

  // The slot where the word is or would be; it is there if Holds.
  Slot& SlotOf(const Key& key) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
    uint64_t hash = (key.words[0] ^ key.tag) * kMultiplier;
    hash = (hash ^ (hash >> 29) ^ key.words[1]) * kMultiplier;
    hash = (hash ^ (hash >> 29) ^ key.words[2]) * kMultiplier;
    return slots_[hash >> (64 - kSlotBits)];
  }
  static bool Holds(const Slot& slot, const Key& key) {
    return slot.key.tag == key.tag && slot.key.words == key.words;
  }

 private:
  static constexpr int kSlotBits = 12;
  WordCache() : slots_(std::make_unique<Slot[]>(size_t{1} << kSlotBits)) {}
  std::unique_ptr<Slot[]> slots_;
};

static_assert(sizeof(WordCache::Slot) == 64);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_WORD_CACHE_H_
