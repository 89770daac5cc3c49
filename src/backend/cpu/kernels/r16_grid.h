// The types whose levels are points of a grid (IQ1, IQ2, IQ3): what a chunk of r16.h holds in place
// of levels, and its unpacking in portable code. Included by each instruction set's units, hence
// internal linkage.
//
// A point is 4 or 8 levels of a row, found by its index. Indices stand in vectors of 64: sixteen
// rows x four points that follow each other in a row. Then come, each for the whole chunk,
//   the low eight bits   [vector][64]
//   high bits            [vector][bit][64 bits]        a vector's lanes as one mask
//   signs                [step of four columns][64 bits]   as a vector of levels: [row][4 columns]
//   shifts               [point][16 bits]              a row to a bit
// so that the sizes are the file's, but for signs of which the file leaves out the last of eight.
// Within a vector of indices, the order of lanes is what makes unpacking in registers cheap
// (r16_grid_avx512vbmi.h): see GridLane.
//
// Scales are stored as in the file, as nibbles, two blocks of a row in a byte. The fourth bit of
// IQ1_S's is the shift of the block.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_GRID_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_GRID_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/r16.h"

namespace puna::backend::cpu {

// Spelled points are levels plus this.
inline constexpr int kSpelledBias = 128;

// A grid as tables, filled on first use.
struct R16GridTable {
  static constexpr int kMost = 2048;
  // Points as the grid packs them: 2 bits a level of 8, or 3 bits a level of 4; low and high byte.
  alignas(64) uint8_t low[kMost];
  alignas(64) uint8_t high[kMost];
  // Level plus 128 by what is packed for it, repeated: only the lowest bits of an index count.
  alignas(64) uint8_t level[64];
  // What is read before the first point by who loads more than it needs.
  uint32_t room[4];
  // Points spelled out: a byte (level plus kSpelledBias) for each column, four columns to a number.
  uint32_t spelled[2 * kMost];
};
// Thread-safe. REQUIRES: a format with a grid.
template <const R16Format& format>
const R16GridTable& GridTableOf();

// R16Packing of the types with a grid.
template <const R16Format& format>
struct GridPacking {
  static int64_t TileBytes(const quant::TypeTraits& traits, int64_t cols);
  static void Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
                   int64_t cols, uint8_t* tile);
  static void Unpack(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row,
                     int64_t cols, uint8_t* row_blocks);
};

namespace {

// Where the index of point `p` < 4 of `row` lies in a vector of indices.
constexpr int GridLane(const R16Grid& grid, int row, int p) {
  const int pair = row / 2, odd = row % 2;
  if (grid.columns == 8) return 8 * pair + 2 * p + odd;
  return 16 * (pair / 2) + 8 * (p / 2) + 4 * (pair % 2) + 2 * (p % 2) + odd;
}

// A byte for each bit of `bits`, 0 or 1, the lowest bit first.
inline uint64_t BitsToBytes(uint8_t bits) {
  const uint64_t one_in_each = bits * 0x0101010101010101u & 0x8040201008040201u;
  const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
  return (((one_in_each & low) + low) | one_in_each) >> 7 & 0x0101010101010101u;
}

// The indices of a vector, from the low eight bits and the masks of the others.
template <const R16Format& format>
inline void ReadIndices(const uint8_t* low, const uint8_t* high, uint16_t (&index)[64]) {
  alignas(64) uint8_t upper[64] = {};
  if constexpr (format.grid.high_bits > 0) {
    for (int byte = 0; byte < 8; ++byte) {
      uint64_t bytes = 0;
      for (int bit = 0; bit < format.grid.high_bits; ++bit)
        bytes |= BitsToBytes(high[bit * 8 + byte]) << bit;
      std::memcpy(upper + byte * 8, &bytes, sizeof(bytes));
    }
  }
  for (int lane = 0; lane < 64; ++lane)
    index[lane] = static_cast<uint16_t>(low[lane] | upper[lane] << 8);
}

// Spells out point kPoint < 4 of each row: its four columns of a step, a row to a lane.
template <const R16Format& format, int kPoint>
inline void Spell(const uint16_t (&index)[64], const uint32_t* spelled,
                  uint32_t (&out)[format.grid.columns / 4][kGroupRows]) {
  constexpr int kSteps = format.grid.columns / 4;
#pragma GCC unroll 16
  for (int row = 0; row < kGroupRows; ++row) {
    const uint32_t* levels = spelled + kSteps * index[GridLane(format.grid, row, kPoint)];
    for (int s = 0; s < kSteps; ++s) out[s][row] = levels[s];
  }
}

// The rows' levels of a step of four columns with their 64 signs. Bytes are value + 128, and 256 -
// byte is -value + 128; none is zero, so nothing is carried from one to the next.
inline void AddSigns(const uint8_t* signs, uint32_t (&levels)[kGroupRows]) {
  uint32_t halves[2];
  std::memcpy(halves, signs, sizeof(halves));
  for (int half = 0; half < 2; ++half) {
    for (int r = 0; r < kGroupRows / 2; ++r) {
      // A bit to each byte: one of four copies of the bits at distances of seven lies right.
      const uint32_t ones = ((halves[half] >> (4 * r) & 15) * 0x00204081u) & 0x01010101u;
      uint32_t& four = levels[half * kGroupRows / 2 + r];
      four = (four ^ ((ones << 8) - ones)) + ones;
    }
  }
}

// The rows whose levels are shifted downward are two less than those shifted upward.
template <const R16Format& format>
inline void AddShifts(const uint8_t* points, const uint8_t* scales, int point,
                      uint32_t (&levels)[kGroupRows]) {
  if constexpr (format.grid.shifts) {
    uint16_t shifts;
    std::memcpy(&shifts, points + format.shifts_at() + point * 2, sizeof(shifts));
    for (int r = 0; r < kGroupRows; ++r) levels[r] -= (shifts >> r & 1) * 0x02020202u;
  } else {
    const int block = point * format.grid.columns / format.block;
    const uint8_t* nibbles = scales + block / 2 * kGroupRows;
    const int shift = block % 2 * 4 + 3;
    for (int r = 0; r < kGroupRows; ++r) levels[r] -= (nibbles[r] >> shift & 1) * 0x02020202u;
  }
}

// Levels of 256 columns, plus `bias` (0 or 128), into out[step of four columns][row][4].
template <const R16Format& format, int bias>
class PortableGridUnpacker {
 public:
  PortableGridUnpacker(const uint8_t* points, const uint8_t* scales)
      : spelled_(GridTableOf<format>().spelled), points_(points), scales_(scales) {}

  void Run(uint8_t (*out)[64]) const {
    for (int vector = 0; vector < kChunk / kGrid.columns / 4; ++vector) {
      alignas(64) uint16_t index[64];
      ReadIndices<format>(points_ + vector * 64,
                          points_ + format.high_at() + vector * kGrid.high_bits * 8, index);
      Point<0>(vector, index, out);
      Point<1>(vector, index, out);
      Point<2>(vector, index, out);
      Point<3>(vector, index, out);
    }
  }

 private:
  static constexpr R16Grid kGrid = format.grid;
  static constexpr int kSteps = kGrid.columns / 4;  // that a point fills
  static constexpr uint32_t kFlip = bias == 0 ? 0x80808080u : 0;

  template <int kPoint>
  void Point(int vector, const uint16_t (&index)[64], uint8_t (*out)[64]) const {
    alignas(64) uint32_t levels[kSteps][kGroupRows];
    Spell<format, kPoint>(index, spelled_, levels);
    const int point = vector * 4 + kPoint;
    for (int s = 0; s < kSteps; ++s) {
      const int step = point * kSteps + s;
      if constexpr (kGrid.signs) {
        AddSigns(points_ + format.signs_at() + step * 8, levels[s]);
      } else {
        AddShifts<format>(points_, scales_, point, levels[s]);
      }
      for (uint32_t& four : levels[s]) four ^= kFlip;
      std::memcpy(out[step], levels[s], sizeof(levels[s]));
    }
  }

  const uint32_t* spelled_;
  const uint8_t* points_;
  const uint8_t* scales_;
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_GRID_H_
