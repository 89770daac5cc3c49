// "r16": the packed layout of quantized weights, the same for all instruction sets.
//
// Sixteen rows form a group, two groups a tile. Where a GGUF row holds its bytes one after the
// other, a group holds, for each step of four columns, one 64-byte vector: [row][4 columns]. Such a
// vector is one operand of a four-way int8 dot product whose lanes are the sixteen rows, so a sum
// never crosses lanes; it is also one row of an AMX tile. Levels (the stored integers) are
// unsigned; bits that do not fill a byte are split into planes:
// - 8 bits: one byte each
// - 4 bits: byte i of plane vector p: vector p in the low nibble, vector p + 4 in the high one
// - 5 bits: nibbles, and one plane vector whose byte i has the fifth bit of vector v at bit v
// - 6 bits: nibbles, and two plane vectors, p = v / 4, with two bits at bit 2 * (v % 4)
// - 2 and 3 bits: likewise
// - 1 bit: one plane vector as the fifth bits; levels are 0 and 2
// all within 32 columns (8 vectors). Packing only moves bits, so it can be undone, and its size is
// that of the file plus the padding of what precedes the levels (0 to 3 %; TQ1_0, whose digits
// become two bits, grows by a quarter).
//
// A chunk of a group (up to 256 columns) is stored as
// - d [1, or one for blocks_of_d blocks][16]
// - minimum's d [as d][16]
// - scale [blocks][16]
// - minimum [block pairs][16][2]
// - (padding to 64) levels
// where the presence of each part is decided by the type's R16Format. Scales and minimums have a
// byte each; those of six bits share three bytes with three others (ReadSixBits of r16_planes.h).
// Types whose levels are points of a grid keep the points' indices in place of levels (r16_grid.h).
//
// The chunks of a tile's groups take turns: both groups' first chunks, both second ones, and so on.
// So a kernel reads one ascending stream whether it takes the groups together or in turn. With a
// stream for each, prompts were 3 % and one user 5 % slower on two Zen 5 cores.
//
// For many tokens kernels do not read this form: once per chunk they unpack it into an R16Panel
// (levels as bytes, scales as floats: 5 KiB that stay in the first-level cache) and multiply all
// tokens with that, so that one tile kernel serves every type. For few tokens some unpack in
// registers (stream.h).
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

// What d is: binary16, or in one byte a power of two or an unsigned float of four bits of exponent.
enum class R16Scale { kHalf, kE8M0, kE4M3 };
enum class R16Lookup { kNone, kIq4, kFp4, kGrid };  // levels are indices of a table

// Columns that are rounded together to a point of a grid (quant/iq_grids.h); r16_grid.h has the
// layout.
struct R16Grid {
  int columns;     // of a point: 4 or 8
  int high_bits;   // of an index, beyond eight
  bool signs;      // each column has a sign; else the points are signed
  bool shifts;     // each point has a bit that says which way its values are shifted
  int scale_mask;  // the bits of a scale in its nibble; the fourth may be the shift of the block
  float d_unit;    // value = d * d_unit * (2 * scale + 1) * level, which makes levels whole
  int largest;     // level, the sign aside
};

// How a type fills the layout. value = d * scale * (level - offset) - dmin * min, or d * scale *
// table[level].
struct R16Format {
  quant::TensorType type;
  int level_bits;  // 1, 2, 3, 4, 5, 6 or 8
  int offset = 0;
  int block = 32;      // columns of a scale: 16 or 32
  bool super = false;  // d is per 256 columns, scale is an int8 per block; else d is per block
  bool min =
      false;  // a minimum is subtracted (super: a byte per block times dmin; else added, a half)
  bool nibble_scales = false;  // scale and minimum share a byte (scale low)
  bool six_bits = false;       // super: scales and minimums have six bits each
  int scale_bias = 0;          // six_bits: what is stored is this much above the scale
  R16Scale scale_kind = R16Scale::kHalf;
  R16Lookup lookup = R16Lookup::kNone;
  bool unit_scales = false;  // super: all scales are one, and none is stored
  int blocks_of_d = 1;       // not super: consecutive blocks that share a d
  R16Grid grid = {};         // with R16Lookup::kGrid; level_bits counts for nothing then

  constexpr bool biased() const { return offset != 0 || lookup != R16Lookup::kNone; }
  constexpr int64_t blocks(int64_t cols) const { return cols / block; }
  constexpr int64_t d_count(int64_t cols) const { return super ? 1 : blocks(cols) / blocks_of_d; }
  constexpr int64_t d_bytes() const { return scale_kind == R16Scale::kHalf ? 2 : 1; }
  // Offsets within a chunk of `cols` columns; those of super types are whole.
  constexpr int64_t m_at(int64_t cols) const { return d_count(cols) * kGroupRows * d_bytes(); }
  constexpr int64_t scale_at(int64_t cols) const { return m_at(cols) * (min ? 2 : 1); }
  constexpr int64_t levels_at(int64_t cols) const {
    const int64_t end = scale_at(cols) + (six_bits ? 3 * six_bit_plane() : small_bytes());
    return lookup == R16Lookup::kGrid ? end : (end + 63) / 64 * 64;
  }
  // Super: bytes of a chunk's scales, and of these and the minimums, when each has a byte; and of a
  // plane of six bits, of which there are three.
  constexpr int64_t scale_bytes() const {
    if (!super || unit_scales) return 0;
    return blocks(kChunk) * kGroupRows / (lookup == R16Lookup::kGrid ? 2 : 1);
  }
  constexpr bool separate_min() const { return super && min && !nibble_scales; }
  constexpr int64_t small_bytes() const { return scale_bytes() * (separate_min() ? 2 : 1); }
  constexpr int64_t six_bit_plane() const { return small_bytes() / 4; }
  // Bytes of the levels of 32 columns.
  constexpr int64_t unit_bytes() const { return level_bits * 64; }
  constexpr int64_t chunk_bytes(int64_t cols) const {
    if (lookup == R16Lookup::kGrid) return levels_at(cols) + grid_bytes();
    return levels_at(cols) + cols / 32 * unit_bytes();
  }
  // Offsets within what a grid has in place of levels.
  constexpr int64_t points() const { return kGroupRows * kChunk / grid.columns; }
  constexpr int64_t high_at() const { return points(); }
  constexpr int64_t signs_at() const { return high_at() + points() / 8 * grid.high_bits; }
  constexpr int64_t shifts_at() const {
    return signs_at() + (grid.signs ? kGroupRows * kChunk / 8 : 0);
  }
  constexpr int64_t grid_bytes() const { return shifts_at() + (grid.shifts ? points() / 8 : 0); }
  // Where chunk `chunk` of a group lies in a tile of `cols` columns.
  constexpr int64_t chunk_at(int64_t cols, int64_t chunk, int64_t group) const {
    const int64_t left = cols - chunk * kChunk;
    return chunk * kTileGroups * chunk_bytes(kChunk) +
           group * chunk_bytes(left < kChunk ? left : kChunk);
  }
  constexpr int64_t tile_bytes(int64_t cols) const {
    const int64_t bytes = chunk_at(cols, cols / kChunk, 0) +
                          (cols % kChunk != 0 ? kTileGroups * chunk_bytes(cols % kChunk) : 0);
    return (bytes + 63) / 64 * 64;
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
inline constexpr R16Format kR16NVFP4 = {.type = quant::TensorType::kNVFP4,
                                        .level_bits = 4,
                                        .block = 16,
                                        .scale_kind = R16Scale::kE4M3,
                                        .lookup = R16Lookup::kFp4};
inline constexpr R16Format kR16Q1_0 = {
    .type = quant::TensorType::kQ1_0, .level_bits = 1, .offset = 1, .blocks_of_d = 4};
inline constexpr R16Format kR16Q2_0 = {
    .type = quant::TensorType::kQ2_0, .level_bits = 2, .offset = 1, .blocks_of_d = 2};
inline constexpr R16Format kR16Q2_K = {.type = quant::TensorType::kQ2_K,
                                       .level_bits = 2,
                                       .block = 16,
                                       .super = true,
                                       .min = true,
                                       .nibble_scales = true};
inline constexpr R16Format kR16Q3_K = {.type = quant::TensorType::kQ3_K,
                                       .level_bits = 3,
                                       .offset = 4,
                                       .block = 16,
                                       .super = true,
                                       .six_bits = true,
                                       .scale_bias = 32};
inline constexpr R16Format kR16Q4_K = {.type = quant::TensorType::kQ4_K,
                                       .level_bits = 4,
                                       .super = true,
                                       .min = true,
                                       .six_bits = true};
inline constexpr R16Format kR16Q5_K = {.type = quant::TensorType::kQ5_K,
                                       .level_bits = 5,
                                       .super = true,
                                       .min = true,
                                       .six_bits = true};
inline constexpr R16Format kR16Q6_K = {
    .type = quant::TensorType::kQ6_K, .level_bits = 6, .offset = 32, .block = 16, .super = true};
inline constexpr R16Format kR16IQ4_XS = {.type = quant::TensorType::kIQ4_XS,
                                         .level_bits = 4,
                                         .super = true,
                                         .six_bits = true,
                                         .scale_bias = 32,
                                         .lookup = R16Lookup::kIq4};

// Ternary digits, stored as levels of two bits.
inline constexpr R16Format kR16TQ1_0 = {.type = quant::TensorType::kTQ1_0,
                                        .level_bits = 2,
                                        .offset = 1,
                                        .super = true,
                                        .unit_scales = true};
inline constexpr R16Format kR16TQ2_0 = {.type = quant::TensorType::kTQ2_0,
                                        .level_bits = 2,
                                        .offset = 1,
                                        .super = true,
                                        .unit_scales = true};

constexpr R16Format GridFormat(quant::TensorType type, int block, R16Grid grid) {
  return {.type = type,
          .level_bits = 8,
          .block = block,
          .super = true,
          .lookup = R16Lookup::kGrid,
          .grid = grid};
}
inline constexpr R16Format kR16IQ1_S =
    GridFormat(quant::TensorType::kIQ1_S, 32, {8, 3, false, false, 7, 0.125f, 9});
inline constexpr R16Format kR16IQ1_M =
    GridFormat(quant::TensorType::kIQ1_M, 16, {8, 3, false, true, 7, 0.125f, 9});
inline constexpr R16Format kR16IQ2_XXS =
    GridFormat(quant::TensorType::kIQ2_XXS, 32, {8, 0, true, false, 15, 0.125f, 43});
inline constexpr R16Format kR16IQ2_XS =
    GridFormat(quant::TensorType::kIQ2_XS, 16, {8, 1, true, false, 15, 0.125f, 43});
inline constexpr R16Format kR16IQ2_S =
    GridFormat(quant::TensorType::kIQ2_S, 16, {8, 2, true, false, 15, 0.125f, 43});
inline constexpr R16Format kR16IQ3_XXS =
    GridFormat(quant::TensorType::kIQ3_XXS, 32, {4, 0, true, false, 15, 0.25f, 62});
inline constexpr R16Format kR16IQ3_S =
    GridFormat(quant::TensorType::kIQ3_S, 32, {4, 1, true, false, 15, 1.0f, 15});

// The offsets of a chunk's parts and its bytes, as R16Format has them, from a table: kernels call
// no function that another unit, compiled for other instructions, might have brought along.
// Internal linkage, as in r16_panel.h.
struct R16Parts {
  int64_t m, scale, levels, bytes;
};
namespace {

template <const R16Format& format>
struct R16PartsTable {
  R16Parts of_units[kChunk / 32 + 1] = {};  // by units of 32 columns
  constexpr R16PartsTable() {
    for (int64_t cols = 0; cols <= kChunk; cols += 32) {
      of_units[cols / 32] = {format.m_at(cols), format.scale_at(cols), format.levels_at(cols),
                             format.chunk_bytes(cols)};
    }
  }
};
template <const R16Format& format>
inline R16Parts PartsOf(int64_t cols) {
  static constexpr R16PartsTable<format> kTable;
  static constexpr R16Parts kWhole = kTable.of_units[kChunk / 32];
  return format.super || cols == kChunk ? kWhole : kTable.of_units[cols / 32];
}

}  // namespace

// Packing and its inverse: portable, shared by all instruction sets (r16_pack.cc; of grids
// GridPacking in r16_grid.h). What comes back decodes to the same values, and is the same bytes but
// where a type can write the same digits in several ways (TQ1_0). REQUIRES: a format above without
// a grid.
template <const R16Format& format>
struct R16Packing {
  static int64_t TileBytes(const quant::TypeTraits& traits, int64_t cols);
  static void Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
                   int64_t cols, uint8_t* tile);
  static void Unpack(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row,
                     int64_t cols, uint8_t* row_blocks);
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_H_
