// What the formats share: reading little-endian fields of a block, and walking a row block by
// block.
//
// Every block is a struct of byte arrays, so it has alignment 1 and may lie anywhere in a mapped
// file. Multi-byte fields are assembled from bytes, which compilers turn into one load where the
// machine is little-endian.
#ifndef PUNA_QUANT_QUANT_BLOCK_H_
#define PUNA_QUANT_QUANT_BLOCK_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "quant/quant.h"

namespace puna::quant {

using Half = uint8_t[2];  // binary16, little-endian

inline uint16_t LoadU16(const uint8_t* bytes) {
  return static_cast<uint16_t>(bytes[0] | bytes[1] << 8);
}

inline uint32_t LoadU32(const uint8_t* bytes) {
  return static_cast<uint32_t>(LoadU16(bytes)) | static_cast<uint32_t>(LoadU16(bytes + 2)) << 16;
}

inline uint64_t LoadU64(const uint8_t* bytes) {
  return static_cast<uint64_t>(LoadU32(bytes)) | static_cast<uint64_t>(LoadU32(bytes + 4)) << 32;
}

inline void StoreU16(uint16_t value, uint8_t* bytes) {
  bytes[0] = static_cast<uint8_t>(value);
  bytes[1] = static_cast<uint8_t>(value >> 8);
}

inline void StoreU32(uint32_t value, uint8_t* bytes) {
  StoreU16(static_cast<uint16_t>(value), bytes);
  StoreU16(static_cast<uint16_t>(value >> 16), bytes + 2);
}

inline float LoadHalf(const Half& bits) { return HalfToFloat(LoadU16(bits)); }

// Stores a scale and returns what a decoder will read. Scales beyond the largest half are clamped
// to it: an infinite scale would turn zeros into NaN.
inline float StoreHalf(float value, Half& bits) {
  const uint16_t half = FloatToHalf(std::clamp(value, -65504.0f, 65504.0f));
  StoreU16(half, bits);
  return HalfToFloat(half);
}

// Calls `decode(block, out)` for each block of a row of `n` values.
template <typename Block, void (*decode)(const Block&, float*)>
void DecodeRow(const uint8_t* blocks, int64_t n, float* out) {
  const auto* block = reinterpret_cast<const Block*>(blocks);
  for (int64_t i = 0; i < n; i += Block::kElements) decode(*block++, out + i);
}

// Packs the low two bits of 256 levels: byte l + 32 h has value l + 32 g + 128 h in bits 2 g.
inline void Pack2Bits(const uint8_t (&levels)[256], uint8_t (&packed)[64]) {
  for (int i = 0; i < 64; ++i) {
    const uint8_t* at = levels + i / 32 * 128 + i % 32;
    packed[i] = static_cast<uint8_t>((at[0] & 3) | (at[32] & 3) << 2 | (at[64] & 3) << 4 |
                                     (at[96] & 3) << 6);
  }
}

// Packs the low four bits of 256 levels: byte l + 32 h has value l + 64 h in its low nibble and l +
// 64 h + 32 in the high.
inline void PackNibbles(const uint8_t (&levels)[256], uint8_t (&packed)[128]) {
  for (int i = 0; i < 128; ++i) {
    const uint8_t* at = levels + i / 32 * 64 + i % 32;
    packed[i] = static_cast<uint8_t>((at[0] & 15) | (at[32] & 15) << 4);
  }
}

// The sign of value `i` in a byte of sign bits, lowest bit first.
inline float SignAt(unsigned sign_bits, int i) { return (sign_bits >> i & 1) != 0 ? -1.0f : 1.0f; }

// Seven stored sign bits to eight: the number of negative signs is always even in these formats, so
// the eighth is the parity of the others.
inline unsigned EvenSigns(unsigned seven_bits) {
  return seven_bits | static_cast<unsigned>(std::popcount(seven_bits) & 1) << 7;
}

}  // namespace puna::quant

#endif  // PUNA_QUANT_QUANT_BLOCK_H_
