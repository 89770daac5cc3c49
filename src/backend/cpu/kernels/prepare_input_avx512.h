// The int8 forms of prepare_input.h for AVX-512, with the same operations on each value in the same
// order, so that the bytes are the same: a token's row is read once, its rounding errors for all
// candidates come from registers, and sums of levels are dot products with ones.
#ifndef PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_AVX512_H_
#define PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_AVX512_H_

#include <immintrin.h>

#include "backend/cpu/kernels/prepare_input.h"

namespace puna::backend::cpu {
namespace {

// Lanes i and i + 8, of those i and i + 4, and so on: the order of RoundingError.
inline float SumOfLanes(__m512 lanes) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

struct Avx512Rounding {
  template <int kCandidates, int kCount>
  static inline __attribute__((always_inline)) float Quantize(const float* values, int8_t* out) {
    constexpr int kVectors = kCount / 16;
    __m512 value[kVectors];
    __m512i magnitude = _mm512_setzero_si512();
    const __m512i all_but_sign = _mm512_set1_epi32(0x7fffffff);
    for (int v = 0; v < kVectors; ++v) {
      value[v] = _mm512_loadu_ps(values + v * 16);
      magnitude = _mm512_max_epi32(magnitude,
                                   _mm512_and_si512(_mm512_castps_si512(value[v]), all_but_sign));
    }
    const float largest = FloatOfBits(static_cast<uint32_t>(_mm512_reduce_max_epi32(magnitude)));
    float inverse = 0, scale = 0;
    if (!(largest < kSmallestMagnitude)) {
      const float unit = 1.0f / largest;
      __m512 sums[kCandidates];
      for (int c = 0; c < kCandidates; ++c) sums[c] = _mm512_setzero_ps();
      for (int v = 0; v < kVectors; ++v) {
        for (int c = 0; c < kCandidates; ++c) {
          const __m512 scaled =
              _mm512_mul_ps(value[v], _mm512_set1_ps(static_cast<float>(127 - c) * unit));
          // To the nearest and to even, which adding and subtracting kRoundingShift also does.
          const __m512 rest = _mm512_sub_ps(scaled, _mm512_roundscale_ps(scaled, 0));
          sums[c] = _mm512_add_ps(sums[c], _mm512_mul_ps(rest, rest));
        }
      }
      float level = 127, least = 0;
      for (int c = 0; c < kCandidates; ++c) {
        const auto candidate = static_cast<float>(127 - c);
        const float error = SumOfLanes(sums[c]) * (1.0f / (candidate * candidate));
        if (c == 0 || error < least) {
          level = candidate;
          least = error;
        }
      }
      inverse = level * unit;
      scale = largest / level;
    }
    const auto levels = [&](int v) {
      const __m512 shifted = _mm512_add_ps(_mm512_mul_ps(value[v], _mm512_set1_ps(inverse)),
                                           _mm512_set1_ps(kRoundingShift));
      return _mm512_cvtepi32_epi8(_mm512_castps_si512(shifted));
    };
    for (int v = 0; v < kVectors; v += 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + v * 16),
                          _mm256_set_m128i(levels(v + 1), levels(v)));
    }
    return scale;
  }

  static void SumsOf16(const int8_t* levels, int32_t (&sums)[16]) {
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i four[4];  // [16 of 64 levels: 4 blocks x 4 sums of four]
    // No load is wider than a store of Quantize: what spans several has to wait until they have
    // left the core, which took half of the time of all preparation.
    const auto* halves = reinterpret_cast<const __m256i*>(levels);
    for (int i = 0; i < 4; ++i) {
      const __m512i all =
          _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(halves + 2 * i)),
                             _mm256_loadu_si256(halves + 2 * i + 1), 1);
      four[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, all);
    }
    __m512i two[2];
    for (int i = 0; i < 2; ++i) {
      two[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(four[2 * i], four[2 * i + 1]),
                                _mm512_unpackhi_epi32(four[2 * i], four[2 * i + 1]));
    }
    // Lane 4 * block + i: the sum of that block of vector i.
    const __m512i one = _mm512_add_epi32(_mm512_unpacklo_epi64(two[0], two[1]),
                                         _mm512_unpackhi_epi64(two[0], two[1]));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(sums, _mm512_permutexvar_epi32(order, one));
  }
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_AVX512_H_
