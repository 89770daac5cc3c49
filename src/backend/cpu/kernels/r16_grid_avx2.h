// Points of a grid to levels with AVX2. It has no table look-up that is large enough, and its
// gathers are slow on many processors, so points are loaded one by one, straight to where they
// belong in a vector of eight rows.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_GRID_AVX2_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_GRID_AVX2_H_

#include <immintrin.h>

#include "backend/cpu/kernels/r16_grid.h"

namespace puna::backend::cpu {
namespace {

template <const R16Format& format, int bias>
class GridUnpackerAvx2 {
 public:
  GridUnpackerAvx2(const uint8_t* points, const uint8_t* scales)
      : spelled_(reinterpret_cast<const uint8_t*>(GridTableOf<format>().spelled)),
        points_(points),
        scales_(scales) {}

  // out[step of four columns][row][4], all of the chunk.
  void Run(uint8_t (*out)[64]) const {
    if constexpr (kGrid.high_bits == 0) {
      for (int vector = 0; vector < kVectors; ++vector) Vector(points_ + vector * 64, vector, out);
    } else {
      // All indices before the first look-up: what was just stored as a vector is slow to load in
      // parts.
      alignas(32) uint16_t index[kVectors][64];
      for (int vector = 0; vector < kVectors; ++vector) WriteIndices(vector, index[vector]);
      for (int vector = 0; vector < kVectors; ++vector) Vector(index[vector], vector, out);
    }
  }

 private:
  static constexpr R16Grid kGrid = format.grid;
  static constexpr int kVectors = static_cast<int>(kChunk) / kGrid.columns / 4;
  static constexpr int kSteps = kGrid.columns / 4;  // that a point fills

  static __m256i Bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }

  // All ones in the bytes whose bit, of 32, is set.
  static __m256i ByteMask(const uint8_t* from) {
    const __m256i byte_of_row = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                                 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    int32_t word;
    std::memcpy(&word, from, sizeof(word));
    const __m256i bits = _mm256_shuffle_epi8(_mm256_set1_epi32(word), byte_of_row);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
  }

  // The indices of a vector. Interleaving bytes stays in 16 of them: eights of lanes change places,
  // see Place.
  void WriteIndices(int vector, uint16_t* index) const {
    const uint8_t* high = points_ + format.high_at() + vector * kGrid.high_bits * 8;
    for (int half = 0; half < 2; ++half) {
      const __m256i low =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(points_ + vector * 64 + half * 32));
      __m256i upper = _mm256_setzero_si256();
      for (int bit = 0; bit < kGrid.high_bits; ++bit) {
        const __m256i set = ByteMask(high + bit * 8 + half * 4);
        upper = _mm256_or_si256(upper, _mm256_and_si256(set, Bytes(1 << bit)));
      }
      auto* to = reinterpret_cast<__m256i*>(index + half * 32);
      _mm256_store_si256(to, _mm256_unpacklo_epi8(low, upper));
      _mm256_store_si256(to + 1, _mm256_unpackhi_epi8(low, upper));
    }
  }

  // Where the index of point `p` of row `r` is.
  static constexpr int Place(int r, int p) {
    const int lane = GridLane(kGrid, r, p);
    if (kGrid.high_bits == 0) return lane;
    return lane / 32 * 32 + lane / 8 % 2 * 16 + lane / 16 % 2 * 8 + lane % 8;
  }

  // Unpacks the four points of each row whose indices are a vector.
  template <typename Index>
  inline __attribute__((always_inline)) void Vector(const Index* index, int vector,
                                                    uint8_t (*out)[64]) const {
    Point<0, 0>(index, vector, out);
    Point<1, 0>(index, vector, out);
    Point<2, 0>(index, vector, out);
    Point<3, 0>(index, vector, out);
    Point<0, 1>(index, vector, out);
    Point<1, 1>(index, vector, out);
    Point<2, 1>(index, vector, out);
    Point<3, 1>(index, vector, out);
  }

  template <int p, int half, typename Index>
  inline __attribute__((always_inline)) void Point(const Index* index, int vector,
                                                   uint8_t (*out)[64]) const {
    __m256i levels[kSteps];
    if constexpr (kGrid.columns == 8) {
      SpellEights<p, half>(index, levels);
    } else {
      levels[0] = SpellFours<p, half>(index);
    }
    const int point = vector * 4 + p;
    for (int s = 0; s < kSteps; ++s) {
      const int step = point * kSteps + s;
      if constexpr (kGrid.signs) {
        const __m256i negative = ByteMask(points_ + format.signs_at() + step * 8 + half * 4);
        levels[s] = _mm256_sub_epi8(_mm256_xor_si256(levels[s], negative), negative);
        if constexpr (bias != kSpelledBias)
          levels[s] = _mm256_sub_epi8(levels[s], Bytes(kSpelledBias - bias));
      } else {
        const __m256i down = _mm256_and_si256(Down(point, half), Bytes(2));
        levels[s] = _mm256_sub_epi8(levels[s], _mm256_add_epi8(down, Bytes(kSpelledBias - bias)));
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(out[step] + half * 32), levels[s]);
    }
  }

  // Sixteen bytes of spelled points, of which dword kDword is the first of point p of a row.
  template <int row, int p, int kDword, typename Index>
  inline __attribute__((always_inline)) __m128i Around(const Index* index) const {
    constexpr int kPlace = Place(row, p);
    const uint8_t* from = spelled_ + 4 * kSteps * index[kPlace] - 4 * kDword;
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  template <int row, int p, typename Index>
  inline __attribute__((always_inline)) const double* Eight(const Index* index) const {
    constexpr int kPlace = Place(row, p);
    return reinterpret_cast<const double*>(spelled_ + 8 * index[kPlace]);
  }

  // The four columns of point p of each of four rows. Each is loaded with its neighbours to where
  // it belongs among the others, which takes fewer instructions than to insert it.
  template <int row, int p, typename Index>
  inline __attribute__((always_inline)) __m128i FourOfFour(const Index* index) const {
    __m128i four = _mm_blend_epi32(Around<row, p, 0>(index), Around<row + 1, p, 1>(index), 2);
    four = _mm_blend_epi32(four, Around<row + 2, p, 2>(index), 4);
    return _mm_blend_epi32(four, Around<row + 3, p, 3>(index), 8);
  }
  template <int p, int half, typename Index>
  inline __attribute__((always_inline)) __m256i SpellFours(const Index* index) const {
    const __m128i low = FourOfFour<half * 8, p>(index), high = FourOfFour<half * 8 + 4, p>(index);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  }

  // The eight columns of point p of row and row + 1.
  template <int row, int p, typename Index>
  inline __attribute__((always_inline)) __m128 EightOfTwo(const Index* index) const {
    return _mm_castpd_ps(_mm_loadh_pd(_mm_load_sd(Eight<row, p>(index)), Eight<row + 1, p>(index)));
  }
  template <int p, int half, typename Index>
  inline __attribute__((always_inline)) void SpellEights(const Index* index,
                                                         __m256i (&levels)[kSteps]) const {
    constexpr int kRow = half * 8;
    // So that dwords of both, taken by a shuffle within 16 bytes, are in the order of rows.
    const __m256 first = _mm256_insertf128_ps(_mm256_castps128_ps256(EightOfTwo<kRow, p>(index)),
                                              EightOfTwo<kRow + 4, p>(index), 1);
    const __m256 second = _mm256_insertf128_ps(
        _mm256_castps128_ps256(EightOfTwo<kRow + 2, p>(index)), EightOfTwo<kRow + 6, p>(index), 1);
    levels[0] = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0x88));
    levels[1] = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xdd));
  }

  // All ones in the rows whose levels are shifted downward.
  __m256i Down(int point, int half) const {
    __m256i bits, bit;
    if constexpr (kGrid.shifts) {
      bits = _mm256_set1_epi32(points_[format.shifts_at() + point * 2 + half]);
      bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    } else {
      const int block = point * kGrid.columns / format.block;
      const uint8_t* nibbles = scales_ + block / 2 * kGroupRows + half * 8;
      bits = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(nibbles)));
      bit = _mm256_set1_epi32(block % 2 == 0 ? 8 : 128);
    }
    return _mm256_cmpeq_epi32(_mm256_and_si256(bits, bit), bit);
  }

  const uint8_t* spelled_;  // R16GridTable::spelled
  const uint8_t* points_;
  const uint8_t* scales_;
};

// A Simd (r16_panel.h) with this unpacking.
template <typename Simd>
struct WithGridAvx2 : Simd {
  template <const R16Format& format, int bias>
  static void GridLevels(const uint8_t* points, const uint8_t* scales, uint8_t (*out)[64]) {
    GridUnpackerAvx2<format, bias>(points, scales).Run(out);
  }
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_GRID_AVX2_H_
