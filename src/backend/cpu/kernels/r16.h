// "r16": the packed layout of quantized weights, the same for all instruction sets.
//
// Sixteen rows form a group. Where a GGUF row holds its bytes one after the other, a group holds,
// for each step of four columns, one 64-byte vector: [row][4 columns]. Such a vector is one operand
// of a four-way int8 dot product whose lanes are the sixteen rows, so a sum never crosses lanes; it
// is also one row of an AMX tile. Levels (the stored integers) are unsigned; bits that do not fill
// a byte are split into planes:
//   8 bits: one byte each.    4 bits: byte i of plane vector p: vector p in the low nibble, vector
//   p + 4 in the high one 5 bits: nibbles + one plane vector whose byte i has the fifth bit of
//   vector v at bit v 6 bits: nibbles + two plane vectors, p = v / 4, with two bits at bit 2 * (v %
//   4);     2 and 3 bits: likewise
// all within 32 columns (8 vectors). Packing only moves bits, so it can be undone, and its size is
// that of the file plus the padding of scales to whole bytes (0 to 6 %).
//
// A chunk of a group (up to 256 columns) is stored as
//   d [1 or blocks][16]   minimum's d [as d][16]   scale [blocks][16]   minimum [block
//   pairs][16][2]   (pad to 64)   levels
// where the presence of each part is decided by the type's R16Format.
//
// Kernels do not read this form. Once per chunk they unpack it into an R16Panel (levels as bytes,
// scales as floats: 5 KiB that stay in the first-level cache) and multiply all tokens with that.
// For one token that costs some stores more than unpacking in registers would, which hide behind
// memory; in return one tile kernel serves every type, and the cost vanishes as tokens are added.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

enum class R16Scale { kHalf, kE8M0 };        // what d is: binary16, or a power of two in one byte
enum class R16Lookup { kNone, kIq4, kFp4 };  // levels are indices of a table

// How a type fills the layout. value = d * scale * (level - offset) - dmin * min, or d * scale *
// table[level].
struct R16Format {
  quant::TensorType type;
  int level_bits;  // 2, 3, 4, 5, 6 or 8
  int offset = 0;
  int block = 32;      // columns of a scale: 16 or 32
  bool super = false;  // d is per 256 columns, scale is an int8 per block; else d is per block
  bool min =
      false;  // a minimum is subtracted (super: a byte per block times dmin; else added, a half)
  bool nibble_scales = false;  // scale and minimum share a byte (scale low)
  R16Scale scale_kind = R16Scale::kHalf;
  R16Lookup lookup = R16Lookup::kNone;

  constexpr bool biased() const { return offset != 0 || lookup != R16Lookup::kNone; }
  constexpr int64_t blocks(int64_t cols) const { return cols / block; }
  constexpr int64_t d_count(int64_t cols) const { return super ? 1 : blocks(cols); }
  constexpr int64_t d_bytes() const { return scale_kind == R16Scale::kHalf ? 2 : 1; }
  // Offsets within a chunk of `cols` columns.
  constexpr int64_t m_at(int64_t cols) const { return d_count(cols) * kGroupRows * d_bytes(); }
  constexpr int64_t scale_at(int64_t cols) const { return m_at(cols) * (min ? 2 : 1); }
  constexpr int64_t min_at(int64_t cols) const {
    return scale_at(cols) + (super ? blocks(cols) * kGroupRows : 0);
  }
  constexpr int64_t levels_at(int64_t cols) const {
    const int64_t end =
        min_at(cols) + (super && min && !nibble_scales ? blocks(cols) * kGroupRows : 0);
    return (end + 63) / 64 * 64;
  }
  // Bytes of the levels of 32 columns.
  constexpr int64_t unit_bytes() const { return level_bits * 64; }
  constexpr int64_t chunk_bytes(int64_t cols) const {
    return levels_at(cols) + cols / 32 * unit_bytes();
  }
  constexpr int64_t group_bytes(int64_t cols) const {
    return cols / kChunk * chunk_bytes(kChunk) +
           (cols % kChunk != 0 ? chunk_bytes(cols % kChunk) : 0);
  }
};

inline constexpr R16Format kR16Q4_0 = {
    .type = quant::TensorType::kQ4_0, .level_bits = 4, .offset = 8};
inline constexpr R16Format kR16Q4_1 = {
    .type = quant::TensorType::kQ4_1, .level_bits = 4, .min = true};
inline constexpr R16Format kR16Q5_0 = {
    .type = quant::TensorType::kQ5_0, .level_bits = 5, .offset = 16};
inline constexpr R16Format kR16Q5_1 = {
    .type = quant::TensorType::kQ5_1, .level_bits = 5, .min = true};
inline constexpr R16Format kR16Q8_0 = {
    .type = quant::TensorType::kQ8_0, .level_bits = 8, .offset = 128};
inline constexpr R16Format kR16IQ4_NL = {
    .type = quant::TensorType::kIQ4_NL, .level_bits = 4, .lookup = R16Lookup::kIq4};
inline constexpr R16Format kR16MXFP4 = {.type = quant::TensorType::kMXFP4,
                                        .level_bits = 4,
                                        .scale_kind = R16Scale::kE8M0,
                                        .lookup = R16Lookup::kFp4};
inline constexpr R16Format kR16Q2_K = {.type = quant::TensorType::kQ2_K,
                                       .level_bits = 2,
                                       .block = 16,
                                       .super = true,
                                       .min = true,
                                       .nibble_scales = true};
inline constexpr R16Format kR16Q3_K = {
    .type = quant::TensorType::kQ3_K, .level_bits = 3, .offset = 4, .block = 16, .super = true};
inline constexpr R16Format kR16Q4_K = {
    .type = quant::TensorType::kQ4_K, .level_bits = 4, .super = true, .min = true};
inline constexpr R16Format kR16Q5_K = {
    .type = quant::TensorType::kQ5_K, .level_bits = 5, .super = true, .min = true};
inline constexpr R16Format kR16Q6_K = {
    .type = quant::TensorType::kQ6_K, .level_bits = 6, .offset = 32, .block = 16, .super = true};
inline constexpr R16Format kR16IQ4_XS = {
    .type = quant::TensorType::kIQ4_XS, .level_bits = 4, .super = true, .lookup = R16Lookup::kIq4};

// Packing and its inverse: portable, shared by all instruction sets (r16_pack.cc). REQUIRES: a
// format above.
template <const R16Format& format>
struct R16Packing {
  static int64_t GroupBytes(const quant::TypeTraits& traits, int64_t cols);
  static void Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
                   int64_t cols, uint8_t* group);
  static void Unpack(const quant::TypeTraits& traits, const uint8_t* group, int64_t row,
                     int64_t cols, uint8_t* row_blocks);
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_H_
