// Unpacking one chunk of one group (r16.h) into the form that the tile kernels read. Compiled by
// each instruction set's unit with its own flags, hence internal linkage. `Simd` brings what
// portable code does not say well:
//   static constexpr int kBytes;     bytes of a vector register
//   static constexpr Levels kLevels;
//   static constexpr bool kScalePairs;  super types' scales are unpacked as factors of 16-bit dot
//   products, by
//   template <const R16Format& format> static void UnpackScalePairs(const uint8_t* bytes, R16Panel*
//   panel);   from ScaleBytes to scale_pair, and of biased levels to min
//   static void HalfToFloat(const uint8_t* halves, float* out);              16 of them
//   using Bytes = Planes<kBytes>::Bytes;
//   static Bytes Lookup(const uint8_t* table, Bytes index);   indices below 16 into 16 bytes
//   template <int kMask> static void GridScales(const uint8_t* nibbles, float* first, float*
//   second); what UnpackScales says of grids, of one pair of blocks; may be absent template <const
//   R16Format& format, int bias> static void GridLevels(const uint8_t* points, const uint8_t*
//   scales, uint8_t (*out)[64]);   as PortableGridUnpacker of r16_grid.h; may be absent
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_PANEL_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_PANEL_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/r16.h"
#include "backend/cpu/kernels/r16_grid.h"
#include "backend/cpu/kernels/r16_planes.h"

namespace puna::backend::cpu {
namespace {

struct R16Panel {
  alignas(64) uint8_t storage[kChunk / 4][64];  // where levels are unpacked to
  alignas(
      64) float scale[16][kGroupRows];  // per block; for super types the integer scale as a float
  alignas(
      64) float block_min[8][kGroupRows];  // per block of 32, not super: added times the scaled sum
  alignas(64) int16_t scale_pair[16][kGroupRows][2];  // super, Simd::kScalePairs: twice the same
  // Super: per pair of blocks. With kScalePairs and biased levels what the bias adds to the sum of
  // a block for each of the input's: bias * scale.
  alignas(64) int16_t min[8][kGroupRows][2];
  alignas(64) float d[kGroupRows];     // super
  alignas(64) float dmin[kGroupRows];  // super
  const uint8_t* levels;  // [columns / 4][16 rows][4]: `storage`, or packed bytes as they are
  // The following chunk. A tile kernel asks for a share of its lines between its blocks: with few
  // tokens the arithmetic takes a fraction of the time that memory takes, and the processor's own
  // prefetchers pause with the loop that feeds them.
  const uint8_t* next;
  int64_t next_lines;
};

// What a panel's levels are. The products of a bias are taken off through the input's start plane.
enum class Levels {
  kBiased,  // unsigned, value + 128 (or as stored where there is no offset): one kind for all
            // formats
  kNarrow,  // unsigned, the least that their values allow: for instruction sets that multiply small
            // levels faster
  kSigned,  // the values
};
constexpr int kBias = 128;

// The largest value of a format's table or grid, the sign aside.
constexpr int LargestValue(const R16Format& format) {
  if (format.lookup == R16Lookup::kGrid) return format.grid.largest;
  return format.lookup == R16Lookup::kFp4 ? 12 : 127;
}

// How much the levels of a panel are above the values.
constexpr int BiasOf(const R16Format& format, Levels levels) {
  if (levels == Levels::kSigned || !format.biased()) return 0;
  if (levels == Levels::kBiased) return kBias;
  if (format.lookup == R16Lookup::kNone) return format.level_bits < 8 ? format.offset : kBias;
  int bias = 1;
  while (bias < LargestValue(format)) bias *= 2;
  return bias;
}

// The largest level of a panel.
constexpr int LargestLevel(const R16Format& format, Levels levels) {
  if (levels != Levels::kNarrow) return 255;
  if (format.level_bits == 1) return 2;
  if (format.lookup == R16Lookup::kNone) return (1 << format.level_bits) - 1;
  return BiasOf(format, levels) + LargestValue(format);
}

template <R16Lookup lookup, int bias>
struct LevelTable {
  alignas(16) uint8_t level[16];
  constexpr LevelTable() : level() {
    constexpr int kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};
    constexpr int kFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    for (int i = 0; i < 16; ++i) {
      level[i] = static_cast<uint8_t>(bias + (lookup == R16Lookup::kIq4 ? kIq4[i] : kFp4[i]));
    }
  }
};

// The levels of a chunk of points, which need the chunk's scales.
template <const R16Format& format, typename Simd>
inline void UnpackPoints(const uint8_t* chunk, R16Panel* panel) {
  constexpr int kPanelBias = BiasOf(format, Simd::kLevels);
  const R16Parts at = PartsOf<format>(kChunk);
  const uint8_t* points = chunk + at.levels;
  const uint8_t* scales = chunk + at.scale;
  panel->levels = panel->storage[0];
  if constexpr (requires { Simd::template GridLevels<format, kPanelBias>; }) {
    Simd::template GridLevels<format, kPanelBias>(points, scales, panel->storage);
  } else {
    PortableGridUnpacker<format, kPanelBias>(points, scales).Run(panel->storage);
  }
}

template <const R16Format& format, typename Simd>
inline void UnpackLevels(const uint8_t* levels, int64_t units, R16Panel* panel) {
  constexpr int kPanelBias = BiasOf(format, Simd::kLevels);
  constexpr int kAdd = (kPanelBias - format.offset) & 255;
  if constexpr (format.level_bits == 8 && kAdd == 0) {
    panel->levels = levels;  // already what is wanted
    return;
  }
  panel->levels = panel->storage[0];
  static constexpr LevelTable<format.lookup, kPanelBias> kTable;
  for (int64_t unit = 0; unit < units; ++unit) {
    uint8_t* out = panel->storage[unit * 8];
    const uint8_t* planes = levels + unit * format.unit_bytes();
    for (int at = 0; at < 64; at += Simd::kBytes) {
      if constexpr (format.lookup == R16Lookup::kNone) {
        ReadPlanes<format.level_bits, kAdd, Simd::kBytes, 64>(planes + at, out + at);
      } else {
        ReadPlanes<format.level_bits, 0, Simd::kBytes, 64>(
            planes + at, out + at, [](const auto& index) __attribute__((always_inline)) {
              return Simd::Lookup(kTable.level, index);
            });
      }
    }
  }
}

// Half of the power of two, because the doubled values of the FP4 table are whole; see quant/mxfp4.
inline float HalfOfE8M0(uint8_t e) {
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Half of sixteen unsigned E4M3 values, as quant/nvfp4 reads them: as exponent and mantissa of
// binary16 their bits are 1 / 256 of the value.
template <typename Simd>
inline void HalvesOfE4M3(const uint8_t* from, float* out) {
  uint8_t bits[kGroupRows];
  std::memcpy(bits, from, sizeof(bits));
  uint16_t halves[kGroupRows];
  for (int r = 0; r < kGroupRows; ++r) {
    const int value = bits[r] & 127;
    halves[r] = static_cast<uint16_t>(value == 127 ? 0 : value << 7);
  }
  Simd::HalfToFloat(reinterpret_cast<const uint8_t*>(halves), out);
  for (int r = 0; r < kGroupRows; ++r) out[r] *= 128;
}

// Two numbers of 16 bits in a lane.
inline uint32_t PairOf(int first, int second) {
  return static_cast<uint16_t>(first) | static_cast<uint32_t>(static_cast<uint16_t>(second)) << 16;
}

// A super type's scales as floats, from ScaleBytes.
template <const R16Format& format, typename Simd>
inline void UnpackWholeScales(const uint8_t* bytes, R16Panel* panel) {
  const auto* scales = reinterpret_cast<const int8_t*>(bytes);
  float* out = panel->scale[0];
  if constexpr (format.unit_scales) {
    for (int64_t i = 0; i < kChunk / format.block * kGroupRows; ++i) out[i] = 1;
  } else if constexpr (format.lookup == R16Lookup::kGrid) {
    // Two blocks of a row share a byte, the first in the low nibble.
    for (int64_t pair = 0; pair < kChunk / format.block / 2; ++pair) {
      constexpr int kMask = format.grid.scale_mask;
      if constexpr (requires { Simd::template GridScales<kMask>; }) {
        Simd::template GridScales<kMask>(bytes + pair * kGroupRows, panel->scale[2 * pair],
                                         panel->scale[2 * pair + 1]);
        continue;
      }
      // Copies, because bytes might be anything else's and then nothing is done side by side.
      uint8_t nibbles[kGroupRows];
      float first[kGroupRows], second[kGroupRows];
      std::memcpy(nibbles, bytes + pair * kGroupRows, sizeof(nibbles));
      for (int r = 0; r < kGroupRows; ++r) {
        first[r] = static_cast<float>(2 * (nibbles[r] & kMask) + 1);
        second[r] = static_cast<float>(2 * (nibbles[r] >> 4 & kMask) + 1);
      }
      std::memcpy(panel->scale[2 * pair], first, sizeof(first));
      std::memcpy(panel->scale[2 * pair + 1], second, sizeof(second));
    }
  } else {
    constexpr int kMask = format.nibble_scales ? 15 : -1;
    for (int64_t i = 0; i < kChunk / format.block * kGroupRows; ++i)
      out[i] = static_cast<float>(scales[i] & kMask);
  }
}

// A super type's minimums, from ScaleBytes: two blocks' side by side, as one 32-bit lane per row.
template <const R16Format& format>
inline void UnpackMinimums(const uint8_t* scales, R16Panel* panel) {
  if constexpr (format.nibble_scales) {
    for (int64_t pair = 0; pair < kChunk / format.block / 2; ++pair) {
      const uint8_t* first = scales + pair * 2 * kGroupRows;
      uint32_t lanes[kGroupRows];
      for (int64_t r = 0; r < kGroupRows; ++r)
        lanes[r] = PairOf(first[r] >> 4, first[kGroupRows + r] >> 4);
      std::memcpy(panel->min[pair], lanes, sizeof(lanes));
    }
  } else {
    const uint8_t* mins = scales + format.scale_bytes();
    int16_t* out = panel->min[0][0];
    for (int64_t i = 0; i < kChunk / format.block * kGroupRows; ++i) out[i] = mins[i];
  }
}

template <const R16Format& format, typename Simd>
inline void UnpackScales(const uint8_t* chunk, const R16Parts& at, int64_t cols, R16Panel* panel) {
  const int64_t blocks = format.blocks(cols);
  if constexpr (!format.super) {
    for (int64_t b = 0; b < blocks; ++b) {
      if constexpr (format.scale_kind == R16Scale::kE8M0) {
        for (int r = 0; r < kGroupRows; ++r)
          panel->scale[b][r] = HalfOfE8M0(chunk[b * kGroupRows + r]);
      } else if constexpr (format.scale_kind == R16Scale::kE4M3) {
        HalvesOfE4M3<Simd>(chunk + b * kGroupRows, panel->scale[b]);
      } else {
        Simd::HalfToFloat(chunk + b / format.blocks_of_d * kGroupRows * 2, panel->scale[b]);
      }
      if constexpr (format.min) {
        Simd::HalfToFloat(chunk + at.m + b * kGroupRows * 2, panel->block_min[b]);
      }
    }
    return;
  }
  Simd::HalfToFloat(chunk, panel->d);
  if constexpr (format.lookup == R16Lookup::kGrid) {
    for (int64_t r = 0; r < kGroupRows; ++r) panel->d[r] *= format.grid.d_unit;
  }
  alignas(64) uint8_t room[kChunk];
  const uint8_t* scales = ScaleBytes<format, Simd::kBytes>(chunk + at.scale, room);
  if constexpr (Simd::kScalePairs) {
    Simd::template UnpackScalePairs<format>(scales, panel);
  } else {
    UnpackWholeScales<format, Simd>(scales, panel);
  }
  if constexpr (format.min) {
    Simd::HalfToFloat(chunk + at.m, panel->dmin);
    UnpackMinimums<format>(scales, panel);
  }
}

// `chunk` holds `cols` columns; `next` is where the following chunk will be read, for prefetching
// only.
template <const R16Format& format, typename Simd>
void UnpackChunk(const uint8_t* chunk, int64_t cols, const uint8_t* next, R16Panel* panel) {
  panel->next = next;
  panel->next_lines = (PartsOf<format>(kChunk).bytes + 63) / 64;
  const R16Parts at = PartsOf<format>(cols);
  UnpackScales<format, Simd>(chunk, at, cols, panel);
  if constexpr (format.lookup == R16Lookup::kGrid) {
    UnpackPoints<format, Simd>(chunk, panel);
  } else {
    UnpackLevels<format, Simd>(chunk + at.levels, cols / 32, panel);
  }
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_PANEL_H_
