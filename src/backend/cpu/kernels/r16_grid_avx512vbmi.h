// Points of a grid to levels in registers, with AVX-512 VBMI: its table look-ups of 128 bytes find
// the two packed bytes of 64 points at once, and its multishift takes a column's bits to a byte of
// its own.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_GRID_AVX512VBMI_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_GRID_AVX512VBMI_H_

#include <immintrin.h>

#include "backend/cpu/kernels/r16_grid.h"

namespace puna::backend::cpu {
namespace {

// table[index], of 64 indices: their low eight bits are the bytes of `index`, the others come as
// masks from the ninth bit up. The table has 2^kBits entries.
template <int kBits>
inline __attribute__((always_inline)) __m512i FindBytes(const uint8_t* table, __m512i index,
                                                        __mmask64 eighth, const uint8_t* high) {
  if constexpr (kBits == 7) {
    return _mm512_permutex2var_epi8(_mm512_load_si512(table), index, _mm512_load_si512(table + 64));
  } else {
    const __mmask64 upper = kBits == 8 ? eighth
                                       : _load_mask64(reinterpret_cast<__mmask64*>(
                                             const_cast<uint8_t*>(high + (kBits - 9) * 8)));
    const __m512i first = FindBytes<kBits - 1>(table, index, eighth, high);
    const __m512i second = FindBytes<kBits - 1>(table + (1 << (kBits - 1)), index, eighth, high);
    return _mm512_mask_blend_epi8(upper, first, second);
  }
}

template <const R16Format& format, int bias>
class GridUnpacker {
 public:
  GridUnpacker(const uint8_t* points, const uint8_t* scales)
      : table_(GridTableOf<format>()),
        points_(points),
        scales_(scales),
        level_(_mm512_load_si512(table_.level)) {
    if constexpr (bias == 0) level_ = _mm512_xor_si512(level_, _mm512_set1_epi8(-128));
  }

  // out[step of four columns][row][4], all of the chunk.
  inline __attribute__((always_inline)) void Run(uint8_t (*out)[64]) const {
    for (int vector = 0; vector < kChunk / kGrid.columns / 4; ++vector) {
      const __m512i index = _mm512_loadu_si512(points_ + vector * 64);
      const __mmask64 eighth = _mm512_movepi8_mask(index);
      const uint8_t* high = points_ + format.high_at() + vector * kGrid.high_bits * 8;
      const __m512i a = FindBytes<8 + kGrid.high_bits>(table_.low, index, eighth, high);
      const __m512i b = FindBytes<8 + kGrid.high_bits>(table_.high, index, eighth, high);
      if constexpr (kGrid.columns == 8) {
        // Two rows of a point are neighbours: the low bytes are four columns of both, the high
        // ones the next four.
        const int step = vector * 8;
        Store<0, 16, 8, 2>(a, step, out);
        Store<0, 16, 8, 2>(b, step + 1, out);
        Store<1, 16, 8, 2>(a, step + 2, out);
        Store<1, 16, 8, 2>(b, step + 3, out);
        Store<2, 16, 8, 2>(a, step + 4, out);
        Store<2, 16, 8, 2>(b, step + 5, out);
        Store<3, 16, 8, 2>(a, step + 6, out);
        Store<3, 16, 8, 2>(b, step + 7, out);
      } else {
        // 16 bits a point, four to a quadword: two rows of two points.
        const __m512i first = _mm512_unpacklo_epi8(a, b), second = _mm512_unpackhi_epi8(a, b);
        const int step = vector * 4;
        Store<0, 32, 16, 3>(first, step, out);
        Store<1, 32, 16, 3>(first, step + 1, out);
        Store<0, 32, 16, 3>(second, step + 2, out);
        Store<1, 32, 16, 3>(second, step + 3, out);
      }
    }
  }

 private:
  static constexpr R16Grid kGrid = format.grid;

  // For the multishift: where the bits of column j of row r begin in a quadword.
  template <int kPoint, int kPointBits, int kRowBits, int kLevelBits>
  static constexpr uint64_t Shifts() {
    uint64_t shifts = 0;
    for (int r = 0; r < 2; ++r) {
      for (int j = 0; j < 4; ++j) {
        const uint64_t bit = kPoint * kPointBits + r * kRowBits + j * kLevelBits;
        shifts |= bit << (8 * (4 * r + j));
      }
    }
    return shifts;
  }

  template <int kPoint, int kPointBits, int kRowBits, int kLevelBits>
  inline __attribute__((always_inline)) void Store(__m512i packed, int step,
                                                   uint8_t (*out)[64]) const {
    constexpr auto kShifts =
        static_cast<int64_t>(Shifts<kPoint, kPointBits, kRowBits, kLevelBits>());
    const __m512i column = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(kShifts), packed);
    __m512i level = _mm512_permutexvar_epi8(column, level_);
    if constexpr (kGrid.signs) {
      const __mmask64 negative = _load_mask64(reinterpret_cast<__mmask64*>(
          const_cast<uint8_t*>(points_ + format.signs_at() + step * 8)));
      level = _mm512_mask_sub_epi8(level, negative, _mm512_setzero_si512(), level);
    } else {
      level = _mm512_sub_epi8(level, _mm512_maskz_set1_epi32(Down(step), 0x02020202));
    }
    _mm512_store_si512(out[step], level);
  }

  // The rows whose levels are shifted downward.
  inline __attribute__((always_inline)) __mmask16 Down(int step) const {
    if constexpr (kGrid.shifts) {
      return _load_mask16(reinterpret_cast<__mmask16*>(
          const_cast<uint8_t*>(points_ + format.shifts_at() + step / 2 * 2)));
    } else {
      const int block = step * 4 / format.block;
      const __m128i nibbles =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(scales_ + block / 2 * kGroupRows));
      return _mm_test_epi8_mask(nibbles,
                                _mm_set1_epi8(static_cast<char>(block % 2 == 0 ? 8 : 128)));
    }
  }

  const R16GridTable& table_;
  const uint8_t* points_;
  const uint8_t* scales_;
  __m512i level_;
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_GRID_AVX512VBMI_H_
