// Remembers the ids of short words, per thread: natural text repeats few words, and a hit costs one
// cache line.
//
// Direct mapped, overwriting: a slot is 64 bytes with the word in it, so a look-up neither chases
// pointers nor allocates. One table per thread serves all tokenizers (each has a serial number,
// part of the key), so nothing is shared or locked and memory is 256 KiB per thread whatever users
// send.
#ifndef PUNA_TOKENIZER_WORD_CACHE_H_
#define PUNA_TOKENIZER_WORD_CACHE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace puna::tokenizer {

class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 24;
  static constexpr size_t kMaxIds = 7;

  static WordCache& OfThisThread() {
    thread_local WordCache cache;
    return cache;
  }

  // A number for a tokenizer that no other one in the process has.
  static uint32_t NextSerial() {
    static std::atomic<uint32_t> next{1};
    return next.fetch_add(1, std::memory_order_relaxed);
  }

  // Appends the ids of the word [begin, end) of `text`: those remembered, or those that
  // `encode(word, ids)` appends.
  template <typename EncodeFunction>
  void Append(std::string_view text, size_t begin, size_t end, uint32_t serial,
              EncodeFunction encode, std::vector<int32_t>* ids) {
    const std::string_view word = text.substr(begin, end - begin);
    if (word.size() > kMaxWordBytes || word.empty()) {
      encode(word, ids);
      return;
    }
    const Key key = MakeKey(word, text.size() - begin, serial);
    Slot& slot = SlotOf(key);
    if (slot.key.tag == key.tag && slot.key.words == key.words) {
      ids->insert(ids->end(), slot.ids.data(), slot.ids.data() + slot.count);
      return;
    }
    const size_t size_before = ids->size();
    encode(word, ids);
    const size_t count = ids->size() - size_before;
    if (count > kMaxIds) return;
    slot.key = key;
    slot.count = static_cast<int32_t>(count);
    std::copy_n(ids->data() + size_before, count, slot.ids.data());
  }

 private:
  struct Key {
    std::array<uint64_t, 3> words{};  // the word, padded with zeros
    uint32_t tag = 0;                 // serial number of the tokenizer and length of the word
  };
  struct alignas(64) Slot {
    Key key;
    int32_t count = 0;
    std::array<int32_t, kMaxIds> ids;
  };
  static_assert(sizeof(Slot) == 64);

  // Reads whole 8-byte units where `readable_bytes` from the start of the word allow it.
  static Key MakeKey(std::string_view word, size_t readable_bytes, uint32_t serial) {
    Key key;
    if (readable_bytes >= kMaxWordBytes) {
      std::memcpy(key.words.data(), word.data(), kMaxWordBytes);
      for (size_t i = 0; i < 3; ++i) {
        const size_t used = word.size() > i * 8 ? word.size() - i * 8 : 0;
        if (used < 8) key.words[i] &= (uint64_t{1} << (used * 8)) - 1;
      }
    } else {
      std::memcpy(key.words.data(), word.data(), word.size());
    }
    key.tag = serial << 5 | static_cast<uint32_t>(word.size());
    return key;
  }

  Slot& SlotOf(const Key& key) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
    uint64_t hash = (key.words[0] ^ key.tag) * kMultiplier;
    hash = (hash ^ (hash >> 29) ^ key.words[1]) * kMultiplier;
    hash = (hash ^ (hash >> 29) ^ key.words[2]) * kMultiplier;
    return slots_[hash >> (64 - kSlotBits)];
  }

  static constexpr int kSlotBits = 12;
  WordCache() : slots_(std::make_unique<Slot[]>(size_t{1} << kSlotBits)) {}
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_WORD_CACHE_H_
