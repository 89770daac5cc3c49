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

// As QuantizeInt8 of 16 * kVectors values.
template <int kCandidates, int kVectors>
inline __attribute__((always_inline)) float QuantizeVectors(const float* values, int8_t* out) {
  __m512 value[kVectors];
  __m512i magnitude = _mm512_setzero_si512();
  const __m512i all_but_sign = _mm512_set1_epi32(0x7fffffff);
  for (int v = 0; v < kVectors; ++v) {
    value[v] = _mm512_loadu_ps(values + v * 16);
    magnitude =
        _mm512_max_epi32(magnitude, _mm512_and_si512(_mm512_castps_si512(value[v]), all_but_sign));
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
  for (int v = 0; v < kVectors; ++v) {
    const __m512 shifted = _mm512_add_ps(_mm512_mul_ps(value[v], _mm512_set1_ps(inverse)),
                                         _mm512_set1_ps(kRoundingShift));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + v * 16),
                     _mm512_cvtepi32_epi8(_mm512_castps_si512(shifted)));
  }
  return scale;
}

// The sums of each 16 of 256 levels.
inline __m512i SumsOf16(const int8_t* levels) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i four[4];  // [16 of 64 levels: 4 blocks x 4 sums of four]
  for (int i = 0; i < 4; ++i) {
    four[i] =
        _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, _mm512_loadu_si512(levels + i * 64));
  }
  __m512i two[2];
  for (int i = 0; i < 2; ++i) {
    two[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(four[2 * i], four[2 * i + 1]),
                              _mm512_unpackhi_epi32(four[2 * i], four[2 * i + 1]));
  }
  // Lane 4 * block + i: the sum of that block of vector i.
  const __m512i sums = _mm512_add_epi32(_mm512_unpacklo_epi64(two[0], two[1]),
                                        _mm512_unpackhi_epi64(two[0], two[1]));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, sums);
}

// The sums of each two neighbours.
inline __m256i SumsOf32(__m512i sums16) {
  return _mm256_madd_epi16(_mm512_cvtepi32_epi16(sums16), _mm256_set1_epi16(1));
}

// What sums of levels start from: times -128.
inline __m512i Starts(__m512i sums) {
  return _mm512_slli_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), sums), 7);
}
inline __m256i Starts(__m256i sums) {
  return _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), sums), 7);
}

void PrepareInt8Block32Avx512(const float* in, int64_t stride, int64_t begin, int64_t end,
                              int64_t tokens, int64_t cols, uint8_t* prepared) {
  const Int8Block32Planes planes(ChunkCount(cols), tokens);
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const float* values = padded.Load(in + t * stride, cols, chunk);
      const int64_t index = chunk * tokens + t;
      auto* out = reinterpret_cast<int8_t*>(prepared + index * kChunk);
      auto* scale = reinterpret_cast<float*>(prepared + planes.scale) + index * 8;
      for (int b = 0; b < 8; ++b) scale[b] = QuantizeVectors<2, 2>(values + b * 32, out + b * 32);
      const __m512i sums16 = SumsOf16(out);
      const __m256i sums32 = SumsOf32(sums16);
      _mm512_storeu_si512(prepared + planes.start16 + index * 64, Starts(sums16));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(prepared + planes.start + index * 32),
                          Starts(sums32));
      _mm256_storeu_ps(reinterpret_cast<float*>(prepared + planes.scaled_sum + index * 32),
                       _mm256_mul_ps(_mm256_loadu_ps(scale), _mm256_cvtepi32_ps(sums32)));
    }
  }
}

void PrepareInt8Block256Avx512(const float* in, int64_t stride, int64_t begin, int64_t end,
                               int64_t tokens, int64_t cols, uint8_t* prepared) {
  const Int8Block256Planes planes(ChunkCount(cols), tokens);
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const float* values = padded.Load(in + t * stride, cols, chunk);
      const int64_t index = chunk * tokens + t;
      auto* out = reinterpret_cast<int8_t*>(prepared + index * kChunk);
      reinterpret_cast<float*>(prepared + planes.scale)[index] =
          QuantizeVectors<3, kChunk / 16>(values, out);
      const __m512i sums16 = SumsOf16(out);
      const __m256i sums32 = SumsOf32(sums16);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(prepared + planes.sum16 + index * 32),
                          _mm512_cvtepi32_epi16(sums16));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(prepared + planes.sum32 + index * 16),
                       _mm256_cvtepi32_epi16(sums32));
      _mm512_storeu_si512(prepared + planes.start16 + index * 64, Starts(sums16));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(prepared + planes.start32 + index * 32),
                          Starts(sums32));
    }
  }
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_AVX512_H_
