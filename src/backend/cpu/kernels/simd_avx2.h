// What the portable parts of the kernels ask of AVX2, and its tile kernel for int8: a vector of
// levels is two halves.
//
// AVX2 has no four-way dot product. vpmaddubsw multiplies unsigned by signed bytes and adds pairs
// into 16 bits with saturation, so what fits decides:
//   levels of up to 129 go in as they are, and as many steps as fit add up in 16 bits before they
//   are widened; larger ones are made signed and their sign is moved to the input: 128 * 127 * 2
//   just fits, and is widened at once.
// What widens is a 16-bit dot product with ones, or of super types with the block's scale, twice:
// so the sums of a whole chunk stay integers, and a block costs no float operations. A bias of
// the levels is taken off as a minimum of bias * scale would be.
// With AVX-VNNI (kVnni) there is the dot product, and everything is as in simd_avx512.h.
#ifndef PUNA_BACKEND_CPU_KERNELS_SIMD_AVX2_H_
#define PUNA_BACKEND_CPU_KERNELS_SIMD_AVX2_H_

#include <immintrin.h>

#include "backend/cpu/kernels/int8_tiles.h"

namespace puna::backend::cpu {
namespace {

// Steps whose products can be added up in 16 bits: each is at most 2 * 127 * largest level. Zero if
// not even one fits.
constexpr int StepsIn16Bits(int largest) {
  const int steps = 32767 / (2 * 127 * largest);
  return steps >= 8 ? 8 : steps >= 4 ? 4 : steps >= 2 ? 2 : steps;
}

// The binary logarithm of what levels are multiplied with too much without the dot product; -1 if
// nothing.
template <TileShape shape>
constexpr int BiasShift() {
  return shape.biased && StepsIn16Bits(shape.largest) > 0 ? __builtin_ctz(shape.bias) : -1;
}

template <bool kVnni>
struct SimdAvx2 {
  static constexpr int kBytes = 32;
  static constexpr Levels kLevels = kVnni ? Levels::kBiased : Levels::kNarrow;
  static constexpr bool kScalePairs = !kVnni;
  static void HalfToFloat(const uint8_t* halves, float* out) {
    const auto* from = reinterpret_cast<const __m128i*>(halves);
    _mm256_store_ps(out, _mm256_cvtph_ps(_mm_loadu_si128(from)));
    _mm256_store_ps(out + 8, _mm256_cvtph_ps(_mm_loadu_si128(from + 1)));
  }
  template <const R16Format& format>
  static void UnpackScalePairs(const uint8_t* bytes, R16Panel* panel) {
    constexpr int kShift = BiasShift<ShapeOf(format, kLevels)>();
    for (int pair = 0; pair < format.blocks(kChunk) / 2; ++pair) {
      __m128i scale[2];
      ScalesOfPair<format>(bytes, pair, scale);
      for (int b = 0; b < 2; ++b)
        StorePairs(scale[b], scale[b], 0, panel->scale_pair[2 * pair + b]);
      if constexpr (kShift >= 0) StorePairs(scale[0], scale[1], kShift, panel->min[pair]);
    }
  }
  template <int kMask>
  static void GridScales(const uint8_t* nibbles, float* first, float* second) {
    __m128i scale[2];
    OddScales(reinterpret_cast<const __m128i*>(nibbles), kMask, scale);
    StoreFloats(scale[0], first);
    StoreFloats(scale[1], second);
  }
  using Bytes = Planes<kBytes>::Bytes;
  static inline __attribute__((always_inline)) Bytes Lookup(const uint8_t* table, Bytes index) {
    const __m256i levels =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    return reinterpret_cast<Bytes>(_mm256_shuffle_epi8(levels, reinterpret_cast<__m256i>(index)));
  }

 private:
  // The scales of sixteen rows in a pair of blocks of a grid: twice what a nibble's bits in `mask`
  // say, plus one. Both blocks of a row share a byte, the first in the low nibble.
  static void OddScales(const __m128i* from, int mask, __m128i (&scale)[2]) {
    const __m128i bits = _mm_set1_epi8(static_cast<char>(mask)), one = _mm_set1_epi8(1);
    const __m128i nibbles = _mm_loadu_si128(from);
    const __m128i low = _mm_and_si128(nibbles, bits);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(nibbles, 4), bits);
    scale[0] = _mm_add_epi8(_mm_add_epi8(low, low), one);
    scale[1] = _mm_add_epi8(_mm_add_epi8(high, high), one);
  }

  static void StoreFloats(__m128i bytes, float* out) {
    _mm256_store_ps(out, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
    _mm256_store_ps(out + 8,
                    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes))));
  }

  // The scales of sixteen rows in two consecutive blocks, as bytes.
  template <const R16Format& format>
  static void ScalesOfPair(const uint8_t* bytes, int pair, __m128i (&scale)[2]) {
    const auto* from = reinterpret_cast<const __m128i*>(bytes);
    if constexpr (format.unit_scales) {
      scale[0] = scale[1] = _mm_set1_epi8(1);
    } else if constexpr (format.lookup == R16Lookup::kGrid) {
      OddScales(from + pair, format.grid.scale_mask, scale);
    } else {
      for (int b = 0; b < 2; ++b) {
        scale[b] = _mm_loadu_si128(from + 2 * pair + b);
        if constexpr (format.nibble_scales) scale[b] = _mm_and_si128(scale[b], _mm_set1_epi8(15));
      }
    }
  }

  // Both numbers of each of sixteen rows side by side, times 2^shift.
  static void StorePairs(__m128i first, __m128i second, int shift, int16_t (*out)[2]) {
    const __m128i halves[2] = {_mm_unpacklo_epi8(first, second), _mm_unpackhi_epi8(first, second)};
    for (int half = 0; half < 2; ++half) {
      const __m256i words = _mm256_slli_epi16(_mm256_cvtepi8_epi16(halves[half]), shift);
      _mm256_store_si256(reinterpret_cast<__m256i*>(out) + half, words);
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

// One group of rows x 4 tokens: 8 integer sums, two halves of levels, the input and a product; the
// sums of a chunk live in the first-level cache.
template <bool kVnni>
struct TilesAvx2 {
  static constexpr int kMaxTokens = 4;

  // dot[t][half] += levels . input * widen[half] over the steps of one block. `widen` holds each
  // row's factor twice; with kVnni it is one.
  template <TileShape shape, int kTokens>
  static inline __attribute__((always_inline)) void DotBlock(const uint8_t* levels,
                                                             const uint8_t* values,
                                                             const __m256i (&widen)[2],
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
            dot[t][half] =
                _mm256_add_epi32(dot[t][half], _mm256_madd_epi16(run[t][half], widen[half]));
          }
        }
      }
    } else {
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
            dot[t][half] = _mm256_add_epi32(dot[t][half], _mm256_madd_epi16(product, widen[half]));
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

  static void Prefetch(const R16Panel& panel, int block, const ChunkInput& input) {
    const uint8_t* next = panel.next + block * input.prefetch_lines * 64;
    for (int64_t line = 0; line < input.prefetch_lines; ++line)
      _mm_prefetch(next + line * 64, _MM_HINT_T0);
  }

  template <TileShape shape, int kTokens>
  static void Tile(const R16Panel& panel, int blocks, const ChunkInput& input, float* sums) {
    constexpr int kBlocksOfChunk = kBlocks<shape>;
    const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
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
      Prefetch(panel, b, input);
      __m256i dot[kTokens][2];
      for (int t = 0; t < kTokens; ++t)
        dot[t][0] = dot[t][1] = Start<shape>(input.start + t * kBlocksOfChunk + b);
      DotBlock<shape, kTokens>(panel.levels + b * shape.block * kGroupRows,
                               input.values + b * shape.block, ones, dot);
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

  // The same with scales as pairs: `total` is the whole-number sum of the chunk. The largest, of
  // Q6_K, is 256 columns * 127 * level 63 * scale 128, or 2^28.
  template <TileShape shape, int kTokens>
  static void PairsTile(const R16Panel& panel, const ChunkInput& input, float* sums) {
    alignas(32) int32_t total[kTokens][2][8] = {};
    for (int b = 0; b < kBlocks<shape>; ++b) {
      Prefetch(panel, b, input);
      const __m256i scale[2] = {LoadHalfOf(panel.scale_pair[b], 0),
                                LoadHalfOf(panel.scale_pair[b], 1)};
      __m256i dot[kTokens][2];
      for (int t = 0; t < kTokens; ++t) dot[t][0] = dot[t][1] = _mm256_setzero_si256();
      DotBlock<shape, kTokens>(panel.levels + b * shape.block * kGroupRows,
                               input.values + b * shape.block, scale, dot);
      for (int t = 0; t < kTokens; ++t) {
        for (int half = 0; half < 2; ++half) {
          auto* at = reinterpret_cast<__m256i*>(total[t][half]);
          _mm256_store_si256(at, _mm256_add_epi32(_mm256_load_si256(at), dot[t][half]));
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int half = 0; half < 2; ++half) {
        __m256i sum = LoadHalfOf(total[t], half);
        if constexpr (BiasShift<shape>() >= 0)
          sum = _mm256_sub_epi32(sum, SumOfMinimums<shape>(panel, input, t, half));
        float* at = sums + t * kTileGroups * kGroupRows + half * 8;
        _mm256_store_ps(
            at, Finish<shape>(panel, input, t, half, _mm256_cvtepi32_ps(sum), _mm256_load_ps(at)));
      }
    }
  }

  // minimums . sums of the input
  template <TileShape shape>
  static inline __attribute__((always_inline)) __m256i SumOfMinimums(const R16Panel& panel,
                                                                     const ChunkInput& input, int t,
                                                                     int half) {
    __m256i dot = _mm256_setzero_si256();
    for (int p = 0; p < kBlocks<shape> / 2; ++p) {
      const __m256i pair = BroadcastDword(input.sum + t * kBlocks<shape> + 2 * p);
      dot = _mm256_add_epi32(dot, _mm256_madd_epi16(LoadHalfOf(panel.min[p], half), pair));
    }
    return dot;
  }

  // before + input scale * (d * sum - dmin * minimums . sums of the input)
  template <TileShape shape>
  static inline __attribute__((always_inline)) __m256 Finish(const R16Panel& panel,
                                                             const ChunkInput& input, int t,
                                                             int half, __m256 sum, __m256 before) {
    sum = _mm256_mul_ps(sum, _mm256_load_ps(panel.d + half * 8));
    if constexpr (shape.min) {
      const __m256i dot = SumOfMinimums<shape>(panel, input, t, half);
      sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_load_ps(panel.dmin + half * 8), sum);
    }
    return _mm256_fmadd_ps(sum, _mm256_set1_ps(input.scale[t]), before);
  }

  template <TileShape shape, int kTokens>
  static void TileOf(const R16Panel& panel, int blocks, const ChunkInput& input, float* sums) {
    if constexpr (shape.super && SimdAvx2<kVnni>::kScalePairs) {
      PairsTile<shape, kTokens>(panel, input, sums);
    } else {
      Tile<shape, kTokens>(panel, blocks, input, sums);
    }
  }

  template <TileShape shape, int kGroups>
  static void Run(int tokens, const R16Panel* panels, int blocks, const ChunkInput& input,
                  float* sums) {
    for (int g = 0; g < kGroups; ++g) {
      float* at = sums + g * kGroupRows;
      switch (tokens) {
        case 1:
          TileOf<shape, 1>(panels[g], blocks, input, at);
          break;
        case 2:
          TileOf<shape, 2>(panels[g], blocks, input, at);
          break;
        case 3:
          TileOf<shape, 3>(panels[g], blocks, input, at);
          break;
        default:
          TileOf<shape, 4>(panels[g], blocks, input, at);
          break;
      }
    }
  }
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_SIMD_AVX2_H_
