// A unit of the double array (Kanda 2018, "Space- and time-efficient string dictionaries"): bits
// 0-7 the label it must be reached by, bit 8 whether a value hangs below, bits 10-30 the offset to
// its children, shifted by 8 if bit 9 is set; with bit 31 set the other bits are a value.
#include "tokenizer/charsmap.h"

#include <cstring>

namespace puna::tokenizer {
namespace {

uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t Label(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
bool HasValue(uint32_t unit) { return (unit & (1u << 8)) != 0; }
uint32_t Value(uint32_t unit) { return unit & ~(1u << 31); }

}  // namespace

Result<Charsmap> Charsmap::Parse(const std::vector<uint8_t>& blob) {
  constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";
  Charsmap map;
  if (blob.empty()) return map;
  uint32_t trie_bytes = 0;
  if (blob.size() < sizeof(trie_bytes)) {
    return MakeError(ErrorCode::kCorrupt, "{} has {} bytes, at least 4 are needed", kKey,
                     blob.size());
  }
  std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
  const size_t rest = blob.size() - sizeof(trie_bytes);
  if (trie_bytes >= rest || trie_bytes % sizeof(uint32_t) != 0) {
    return MakeError(ErrorCode::kCorrupt, "{} announces a trie of {} bytes, {} bytes follow", kKey,
                     trie_bytes, rest);
  }
  map.trie_.resize(trie_bytes / sizeof(uint32_t));
  if (trie_bytes > 0) std::memcpy(map.trie_.data(), blob.data() + sizeof(trie_bytes), trie_bytes);
  const auto* text = reinterpret_cast<const char*>(blob.data()) + sizeof(trie_bytes) + trie_bytes;
  map.replacements_.assign(text, text + (rest - trie_bytes));
  if (map.replacements_.back() != '\0') map.replacements_.push_back('\0');
  return map;
}

Charsmap::Replacement Charsmap::Find(std::string_view text) const {
  Replacement found;
  if (trie_.empty()) return found;
  uint32_t node = Offset(trie_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= trie_.size() || Label(trie_[node]) != byte) break;
    const uint32_t unit = trie_[node];
    node ^= Offset(unit);
    if (!HasValue(unit)) continue;
    if (node >= trie_.size()) break;
    const uint32_t begin = Value(trie_[node]);
    if (begin < replacements_.size())
      found = {std::string_view(replacements_.data() + begin), i + 1};
  }
  return found;
}

}  // namespace puna::tokenizer
