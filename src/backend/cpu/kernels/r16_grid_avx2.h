// Points of a grid to levels with AVX2. It has no table look-up that is large enough, and its
// gathers are slow on many processors, so points are fetched one by one; what surrounds that is
// done for eight rows at once.
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
      : spelled_(GridTableOf<format>().spelled), points_(points), scales_(scales) {}

  // out[step of four columns][row][4], all of the chunk. In two passes: what was stored in fours of
  // bytes is long in the cache when it is loaded as vectors.
  void Run(uint8_t (*out)[64]) const {
    for (int vector = 0; vector < kChunk / kGrid.columns / 4; ++vector) {
      for (int half = 0; half < 2; ++half) {
        Spell<0>(vector, half, out);
        Spell<1>(vector, half, out);
        Spell<2>(vector, half, out);
        Spell<3>(vector, half, out);
      }
    }
    for (int step = 0; step < kChunk / 4; ++step) {
      for (int half = 0; half < 2; ++half) {
        auto* at = reinterpret_cast<__m256i*>(out[step] + half * 32);
        __m256i levels = _mm256_load_si256(at);
        if constexpr (kGrid.signs) {
          const __m256i negative = Signs(points_ + format.signs_at() + step * 8 + half * 4);
          levels = _mm256_sub_epi8(_mm256_xor_si256(levels, negative), negative);
        } else {
          levels = _mm256_sub_epi8(levels, _mm256_and_si256(Down(step, half), Bytes(2)));
        }
        if constexpr (bias == 0) levels = _mm256_xor_si256(levels, Bytes(-128));
        _mm256_store_si256(at, levels);
      }
    }
  }

 private:
  static constexpr R16Grid kGrid = format.grid;
  static constexpr int kSteps = kGrid.columns / 4;  // that a point fills

  static __m256i Bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static __m256i BroadcastBits(const uint8_t* from) {
    int32_t bits;
    std::memcpy(&bits, from, sizeof(bits));
    return _mm256_set1_epi32(bits);
  }

  // Eight rows of one half are 32 lanes of a vector of indices; point p of row r is lane:
  static constexpr int Lane(int r, int p) { return GridLane(kGrid, r, p); }
  // Byte shuffles stay in 16 bytes, which hold four rows.
  template <int p>
  static __m256i IndexShuffle() {
    alignas(32) int8_t from[32];
    for (int r = 0; r < 8; ++r) {
      from[4 * r] = static_cast<int8_t>(Lane(r, p) % 16);
      from[4 * r + 1] = from[4 * r + 2] = from[4 * r + 3] = -1;  // zero
    }
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }

  // The points' columns, without signs or shifts.
  template <int p>
  inline __attribute__((always_inline)) void Spell(int vector, int half, uint8_t (*out)[64]) const {
    const uint8_t* low = points_ + vector * 64 + half * 32;
    __m256i index = _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low)),
                                        IndexShuffle<p>());
    const __m256i lanes = _mm256_setr_epi32(Lane(0, p), Lane(1, p), Lane(2, p), Lane(3, p),
                                            Lane(4, p), Lane(5, p), Lane(6, p), Lane(7, p));
    const uint8_t* high = points_ + format.high_at() + vector * kGrid.high_bits * 8 + half * 4;
    for (int bit = 0; bit < kGrid.high_bits; ++bit) {
      const __m256i bits = _mm256_srlv_epi32(BroadcastBits(high + bit * 8), lanes);
      index = _mm256_or_si256(
          index, _mm256_slli_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(1)), 8 + bit));
    }
    alignas(32) uint32_t at[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(at), index);
    const int step = (vector * 4 + p) * kSteps;
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      for (int s = 0; s < kSteps; ++s)
        std::memcpy(out[step + s] + half * 32 + r * 4, spelled_ + at[r] * kSteps + s, 4);
    }
  }

  // All ones where the sign is negative, from 32 bits.
  static __m256i Signs(const uint8_t* from) {
    const __m256i byte_of_row = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                                 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    const __m256i bits = _mm256_shuffle_epi8(BroadcastBits(from), byte_of_row);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
  }

  // All ones in the rows whose levels are shifted downward.
  __m256i Down(int step, int half) const {
    __m256i bits, bit;
    if constexpr (kGrid.shifts) {
      bits = _mm256_set1_epi32(points_[format.shifts_at() + step / kSteps * 2 + half]);
      bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    } else {
      const int block = step * 4 / format.block;
      const uint8_t* nibbles = scales_ + block / 2 * kGroupRows + half * 8;
      bits = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(nibbles)));
      bit = _mm256_set1_epi32(block % 2 == 0 ? 8 : 128);
    }
    return _mm256_cmpeq_epi32(_mm256_and_si256(bits, bit), bit);
  }

  const uint32_t* spelled_;
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
