// What the portable parts of the kernels ask of AVX2, and its tile kernel for int8: a vector of
// levels is two halves.
//
// AVX2 has no four-way dot product. vpmaddubsw multiplies unsigned by signed bytes and adds pairs
// into 16 bits with saturation, so what fits decides:
//   levels of up to 129 go in as they are, and as many steps as fit add up in 16 bits before they
//   are widened; larger ones are made signed and their sign is moved to the input: 128 * 127 * 2
//   just fits, and is widened at once.
// With AVX-VNNI (kVnni) there is the dot product, and everything is as in simd_avx512.h.
#ifndef PUNA_BACKEND_CPU_KERNELS_SIMD_AVX2_H_
#define PUNA_BACKEND_CPU_KERNELS_SIMD_AVX2_H_

#include <immintrin.h>

#include "backend/cpu/kernels/int8_tiles.h"

namespace puna::backend::cpu {
namespace {

template <bool kVnni>
struct SimdAvx2 {
  static constexpr int kBytes = 32;
  static constexpr Levels kLevels = kVnni ? Levels::kBiased : Levels::kNarrow;
  static void HalfToFloat(const uint8_t* halves, float* out) {
    const auto* from = reinterpret_cast<const __m128i*>(halves);
    _mm256_store_ps(out, _mm256_cvtph_ps(_mm_loadu_si128(from)));
    _mm256_store_ps(out + 8, _mm256_cvtph_ps(_mm_loadu_si128(from + 1)));
  }
  static void Lookup(const uint8_t* table, const uint8_t* in, uint8_t* out) {
    const __m256i levels =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    for (int half = 0; half < 64; half += 32) {
      const __m256i index = _mm256_load_si256(reinterpret_cast<const __m256i*>(in + half));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + half),
                         _mm256_shuffle_epi8(levels, index));
    }
  }
};

inline __m256i BroadcastDword(const void* from) {
  int32_t value;
  std::memcpy(&value, from, sizeof(value));
  return _mm256_set1_epi32(value);
}

inline __m256i LoadHalfOf(const void* vector, int half) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(vector) + half);
}

// Steps whose products can be added up in 16 bits: each is at most 2 * 127 * largest level. Zero if
// not even one fits.
constexpr int StepsIn16Bits(int largest) {
  const int steps = 32767 / (2 * 127 * largest);
  return steps >= 8 ? 8 : steps >= 4 ? 4 : steps >= 2 ? 2 : steps;
}

// One group of rows x 4 tokens: 8 integer sums, two halves of levels, the input and a product; the
// float sums of a chunk live in the first-level cache.
template <bool kVnni>
struct TilesAvx2 {
  static constexpr int kMaxTokens = 4;

  // dot[t][half] += levels . input over the steps of one block.
  template <TileShape shape, int kTokens>
  static inline __attribute__((always_inline)) void DotBlock(const uint8_t* levels,
                                                             const uint8_t* values,
                                                             __m256i (&dot)[kTokens][2]) {
    constexpr int kSteps = shape.block / 4;
    if constexpr (kVnni) {
#ifdef __AVXVNNI__
#pragma GCC unroll 8
      for (int k = 0; k < kSteps; ++k) {
        const __m256i w[2] = {LoadHalfOf(levels + k * 64, 0), LoadHalfOf(levels + k * 64, 1)};
        for (int t = 0; t < kTokens; ++t) {
          const __m256i x = BroadcastDword(values + t * kChunk + k * 4);
          for (int half = 0; half < 2; ++half)
            dot[t][half] = _mm256_dpbusd_avx_epi32(dot[t][half], w[half], x);
        }
      }
#endif
    } else if constexpr (StepsIn16Bits(shape.largest) > 0) {
      constexpr int kMost = StepsIn16Bits(shape.largest);
      constexpr int kRun = kMost < kSteps ? kMost : kSteps;
      const __m256i ones = _mm256_set1_epi16(1);
      for (int first = 0; first < kSteps; first += kRun) {
        __m256i run[kTokens][2];
#pragma GCC unroll 8
        for (int k = 0; k < kRun; ++k) {
          const uint8_t* at = levels + (first + k) * 64;
          const __m256i w[2] = {LoadHalfOf(at, 0), LoadHalfOf(at, 1)};
          for (int t = 0; t < kTokens; ++t) {
            const __m256i x = BroadcastDword(values + t * kChunk + (first + k) * 4);
            for (int half = 0; half < 2; ++half) {
              const __m256i product = _mm256_maddubs_epi16(w[half], x);
              run[t][half] = k == 0 ? product : _mm256_add_epi16(run[t][half], product);
            }
          }
        }
        for (int t = 0; t < kTokens; ++t) {
          for (int half = 0; half < 2; ++half) {
            dot[t][half] = _mm256_add_epi32(dot[t][half], _mm256_madd_epi16(run[t][half], ones));
          }
        }
      }
    } else {
      const __m256i ones = _mm256_set1_epi16(1);
      const __m256i bias = _mm256_set1_epi8(static_cast<char>(kBias));
#pragma GCC unroll 8
      for (int k = 0; k < kSteps; ++k) {
        __m256i w[2], magnitude[2];
        for (int half = 0; half < 2; ++half) {
          w[half] = _mm256_xor_si256(LoadHalfOf(levels + k * 64, half), bias);
          magnitude[half] = _mm256_abs_epi8(w[half]);
        }
        for (int t = 0; t < kTokens; ++t) {
          const __m256i x = BroadcastDword(values + t * kChunk + k * 4);
          for (int half = 0; half < 2; ++half) {
            const __m256i product =
                _mm256_maddubs_epi16(magnitude[half], _mm256_sign_epi8(x, w[half]));
            dot[t][half] = _mm256_add_epi32(dot[t][half], _mm256_madd_epi16(product, ones));
          }
        }
      }
    }
  }

  // What the sum of levels is too much by, taken off in advance. The plane holds -128 * sum of the
  // input.
  template <TileShape shape>
  static inline __attribute__((always_inline)) __m256i Start(const int32_t* start) {
    if constexpr (!shape.biased || (!kVnni && StepsIn16Bits(shape.largest) == 0))
      return _mm256_setzero_si256();
    if constexpr (kVnni) return BroadcastDword(start);
    constexpr int kShift = 7 - __builtin_ctz(shape.bias == 0 ? kBias : shape.bias);
    return _mm256_srai_epi32(BroadcastDword(start), kShift);
  }

  template <TileShape shape, int kTokens>
  static void Tile(const R16Panel& panel, int blocks, const ChunkInput& input, float* sums) {
    constexpr int kBlocksOfChunk = kBlocks<shape>;
    alignas(32) float sum[kTokens][2][8];
    for (int t = 0; t < kTokens; ++t) {
      for (int half = 0; half < 2; ++half) {
        _mm256_store_ps(sum[t][half],
                        shape.super
                            ? _mm256_setzero_ps()
                            : _mm256_load_ps(sums + t * kTileGroups * kGroupRows + half * 8));
      }
    }
    for (int b = 0; b < blocks; ++b) {
      const uint8_t* next = panel.next + b * input.prefetch_lines * 64;
      for (int64_t line = 0; line < input.prefetch_lines; ++line)
        _mm_prefetch(next + line * 64, _MM_HINT_T0);
      __m256i dot[kTokens][2];
      for (int t = 0; t < kTokens; ++t)
        dot[t][0] = dot[t][1] = Start<shape>(input.start + t * kBlocksOfChunk + b);
      DotBlock<shape, kTokens>(panel.levels + b * shape.block * kGroupRows,
                               input.values + b * shape.block, dot);
      for (int t = 0; t < kTokens; ++t) {
        for (int half = 0; half < 2; ++half) {
          __m256 value = _mm256_cvtepi32_ps(dot[t][half]);
          if constexpr (!shape.super)
            value = _mm256_mul_ps(value, _mm256_set1_ps(input.scale[ScaleIndex<shape>(t, b)]));
          __m256 total = _mm256_load_ps(sum[t][half]);
          total = _mm256_fmadd_ps(value, _mm256_load_ps(panel.scale[b] + half * 8), total);
          if constexpr (!shape.super && shape.min) {
            total = _mm256_fmadd_ps(_mm256_set1_ps(input.scaled_sum[t * 8 + b]),
                                    _mm256_load_ps(panel.block_min[b] + half * 8), total);
          }
          _mm256_store_ps(sum[t][half], total);
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int half = 0; half < 2; ++half) {
        float* at = sums + t * kTileGroups * kGroupRows + half * 8;
        __m256 total = _mm256_load_ps(sum[t][half]);
        if constexpr (shape.super)
          total = Finish<shape>(panel, input, t, half, total, _mm256_load_ps(at));
        _mm256_store_ps(at, total);
      }
    }
  }

  // before + input scale * (d * sum - dmin * minimums . sums of the input)
  template <TileShape shape>
  static inline __attribute__((always_inline)) __m256 Finish(const R16Panel& panel,
                                                             const ChunkInput& input, int t,
                                                             int half, __m256 sum, __m256 before) {
    sum = _mm256_mul_ps(sum, _mm256_load_ps(panel.d + half * 8));
    if constexpr (shape.min) {
      __m256i dot = _mm256_setzero_si256();
      for (int p = 0; p < kBlocks<shape> / 2; ++p) {
        const __m256i pair = BroadcastDword(input.sum + t * kBlocks<shape> + 2 * p);
        dot = _mm256_add_epi32(dot, _mm256_madd_epi16(LoadHalfOf(panel.min[p], half), pair));
      }
      sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_load_ps(panel.dmin + half * 8), sum);
    }
    return _mm256_fmadd_ps(sum, _mm256_set1_ps(input.scale[t]), before);
  }

  template <TileShape shape, int kGroups>
  static void Run(int tokens, const R16Panel* panels, int blocks, const ChunkInput& input,
                  float* sums) {
    for (int g = 0; g < kGroups; ++g) {
      float* at = sums + g * kGroupRows;
      switch (tokens) {
        case 1:
          Tile<shape, 1>(panels[g], blocks, input, at);
          break;
        case 2:
          Tile<shape, 2>(panels[g], blocks, input, at);
          break;
        case 3:
          Tile<shape, 3>(panels[g], blocks, input, at);
          break;
        default:
          Tile<shape, 4>(panels[g], blocks, input, at);
          break;
      }
    }
  }
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_SIMD_AVX2_H_
