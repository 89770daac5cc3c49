// What the portable parts of the kernels ask of AVX-512, and the tile kernel for int8.
#ifndef PUNA_BACKEND_CPU_KERNELS_SIMD_AVX512_H_
#define PUNA_BACKEND_CPU_KERNELS_SIMD_AVX512_H_

#include <immintrin.h>

#include "backend/cpu/kernels/int8_tiles.h"
#include "backend/cpu/kernels/stream_avx512.h"

namespace puna::backend::cpu {
namespace {

struct SimdAvx512 {
  static constexpr int kBytes = 64;
  static constexpr Levels kLevels = Levels::kBiased;
  static constexpr bool kScalePairs = false;
  static void HalfToFloat(const uint8_t* halves, float* out) {
    _mm512_store_ps(out,
                    _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves))));
  }
  using Bytes = Planes<kBytes>::Bytes;
  static inline __attribute__((always_inline)) Bytes Lookup(const uint8_t* table, Bytes index) {
    const __m512i levels =
        _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    return reinterpret_cast<Bytes>(_mm512_shuffle_epi8(levels, reinterpret_cast<__m512i>(index)));
  }
};

// 2 groups x 6 tokens: 12 integer and 12 float sums, 2 vectors of levels and a broadcast of the
// input fill the 32 registers. Each broadcast feeds two dot products, each vector of levels six.
struct TilesAvx512 {
  static constexpr int kMaxTokens = 6;

  template <TileShape shape, int kGroups, int kTokens>
  static void Tile(const R16Panel* panels, int blocks, const ChunkInput& input, float* sums) {
    constexpr int kBlocksOfChunk = kBlocks<shape>;
    constexpr int kSteps = shape.block / 4;
    const uint8_t* values = input.values;
    const uint8_t* levels[kGroups];
    const float* scales[kGroups];
    __m512 sum[kGroups][kTokens];
    for (int g = 0; g < kGroups; ++g) {
      levels[g] = panels[g].levels;
      scales[g] = panels[g].scale[0];
      for (int t = 0; t < kTokens; ++t) {
        sum[g][t] = shape.super ? _mm512_setzero_ps()
                                : _mm512_load_ps(sums + (t * kTileGroups + g) * kGroupRows);
      }
    }
    for (int b = 0; b < blocks; ++b) {
      for (int g = 0; g < kGroups; ++g) {
        const uint8_t* next = panels[g].next + b * input.prefetch_lines * 64;
        for (int64_t line = 0; line < input.prefetch_lines; ++line)
          _mm_prefetch(next + line * 64, _MM_HINT_T0);
      }
      __m512i dot[kGroups][kTokens];
      for (int t = 0; t < kTokens; ++t) {
        const __m512i start = shape.biased ? BroadcastDword(input.start + t * kBlocksOfChunk + b)
                                           : _mm512_setzero_si512();
        for (int g = 0; g < kGroups; ++g) dot[g][t] = start;
      }
#pragma GCC unroll 8
      for (int k = 0; k < kSteps; ++k) {
        __m512i w[kGroups];
        for (int g = 0; g < kGroups; ++g) w[g] = _mm512_loadu_si512(levels[g] + k * 64);
        for (int t = 0; t < kTokens; ++t) {
          const __m512i x = BroadcastDword(values + t * kChunk + k * 4);
          for (int g = 0; g < kGroups; ++g) dot[g][t] = _mm512_dpbusd_epi32(dot[g][t], w[g], x);
        }
      }
      for (int g = 0; g < kGroups; ++g) {
        const __m512 scale = _mm512_load_ps(scales[g]);
        for (int t = 0; t < kTokens; ++t) {
          __m512 value = _mm512_cvtepi32_ps(dot[g][t]);
          if constexpr (!shape.super)
            value = _mm512_mul_ps(value, _mm512_set1_ps(input.scale[ScaleIndex<shape>(t, b)]));
          sum[g][t] = _mm512_fmadd_ps(value, scale, sum[g][t]);
          if constexpr (!shape.super && shape.min) {
            sum[g][t] = _mm512_fmadd_ps(_mm512_set1_ps(input.scaled_sum[t * 8 + b]),
                                        _mm512_load_ps(panels[g].block_min[b]), sum[g][t]);
          }
        }
        levels[g] += kSteps * 64;
        scales[g] += kGroupRows;
      }
      values += shape.block;
    }
    if constexpr (shape.super) {
      Finish<shape, kGroups, kTokens>(panels, input, sum, sums);
    } else {
      for (int g = 0; g < kGroups; ++g) {
        for (int t = 0; t < kTokens; ++t)
          _mm512_store_ps(sums + (t * kTileGroups + g) * kGroupRows, sum[g][t]);
      }
    }
  }

  // sums += input scale * (d * sum - dmin * minimums . sums of the input)
  template <TileShape shape, int kGroups, int kTokens>
  static inline __attribute__((always_inline)) void Finish(const R16Panel* panels,
                                                           const ChunkInput& input,
                                                           __m512 (&sum)[kGroups][kTokens],
                                                           float* sums) {
    for (int g = 0; g < kGroups; ++g) {
      const __m512 d = _mm512_load_ps(panels[g].d);
      for (int t = 0; t < kTokens; ++t) sum[g][t] = _mm512_mul_ps(sum[g][t], d);
    }
    if constexpr (shape.min) {
      __m512i dot[kGroups][kTokens] = {};
      for (int p = 0; p < kBlocks<shape> / 2; ++p) {
        for (int t = 0; t < kTokens; ++t) {
          const __m512i pair = BroadcastDword(input.sum + t * kBlocks<shape> + 2 * p);
          for (int g = 0; g < kGroups; ++g) {
            dot[g][t] = _mm512_dpwssd_epi32(dot[g][t], _mm512_load_si512(panels[g].min[p]), pair);
          }
        }
      }
      for (int g = 0; g < kGroups; ++g) {
        const __m512 dmin = _mm512_load_ps(panels[g].dmin);
        for (int t = 0; t < kTokens; ++t) {
          sum[g][t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(dot[g][t]), dmin, sum[g][t]);
        }
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      for (int t = 0; t < kTokens; ++t) {
        float* at = sums + (t * kTileGroups + g) * kGroupRows;
        _mm512_store_ps(
            at, _mm512_fmadd_ps(sum[g][t], _mm512_set1_ps(input.scale[t]), _mm512_load_ps(at)));
      }
    }
  }

  template <TileShape shape, int kGroups>
  static void Run(int tokens, const R16Panel* panels, int blocks, const ChunkInput& input,
                  float* sums) {
    switch (tokens) {
      case 1:
        return Tile<shape, kGroups, 1>(panels, blocks, input, sums);
      case 2:
        return Tile<shape, kGroups, 2>(panels, blocks, input, sums);
      case 3:
        return Tile<shape, kGroups, 3>(panels, blocks, input, sums);
      case 4:
        return Tile<shape, kGroups, 4>(panels, blocks, input, sums);
      case 5:
        return Tile<shape, kGroups, 5>(panels, blocks, input, sums);
      default:
        return Tile<shape, kGroups, 6>(panels, blocks, input, sums);
    }
  }
};

// 12 tokens take 12 integer and 12 float sums, and leave registers to unpack in. Rejected: two
// groups at a time, which share each load of the input; in the program they were slower
// (docs/benchmarks.md). With more tokens unpacking once for all of them is as fast or faster.
constexpr int kMaxStreamTokens = 12;

template <const R16Format& format>
void MultiplyAvx512(const MultiplyTask& task) {
  if (task.tokens <= kMaxStreamTokens)
    return MultiplyStream<format, StreamTile, kMaxStreamTokens>(task);
  MultiplyR16<format, VectorKernel<format, SimdAvx512, TilesAvx512>>(task);
}
template <const R16Format& format>
constexpr TypeKernels Avx512Row(const char* name) {
  return R16Row<format>(name, &MultiplyAvx512<format>);
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_SIMD_AVX512_H_
