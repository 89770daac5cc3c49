// What the portable parts of the kernels ask of NEON with int8 dot products (ARMv8.2 "dotprod"),
// and its tile kernel: a vector of levels is four registers of four rows. The dot product
// multiplies signed by signed bytes, so levels are the values and nothing has to be taken off.
#ifndef PUNA_BACKEND_CPU_KERNELS_SIMD_DOTPROD_H_
#define PUNA_BACKEND_CPU_KERNELS_SIMD_DOTPROD_H_

#include <arm_neon.h>

#include "backend/cpu/kernels/int8_tiles.h"

namespace puna::backend::cpu {
namespace {

constexpr int kQuarters = kGroupRows / 4;

struct SimdDotprod {
  static constexpr int kBytes = 16;
  static constexpr Levels kLevels = Levels::kSigned;
  static constexpr bool kScalePairs = false;
  static void HalfToFloat(const uint8_t* halves, float* out) {
    for (int q = 0; q < kQuarters; ++q) {
      const float16x4_t half = vreinterpret_f16_u8(vld1_u8(halves + q * 8));
      vst1q_f32(out + q * 4, vcvt_f32_f16(half));
    }
  }
  using Bytes = Planes<kBytes>::Bytes;
  static inline __attribute__((always_inline)) Bytes Lookup(const uint8_t* table, Bytes index) {
    return reinterpret_cast<Bytes>(
        vqtbl1q_u8(vld1q_u8(table), reinterpret_cast<uint8x16_t>(index)));
  }
};

// The sums of one group of rows with kTokens tokens over the columns of a block, as whole numbers:
// 16 sums, four registers of levels and four of inputs.
struct DotsDotprod {
  static constexpr int kMaxTokens = 4;

  // dot[t][q] += 4 columns of levels . columns 4 * kStep of x[t]
  template <int kStep, int kTokens>
  static inline __attribute__((always_inline)) void AddStep(const uint8_t* levels,
                                                            const int8x16_t (&x)[kTokens],
                                                            int32x4_t (&dot)[kTokens][kQuarters]) {
    for (int q = 0; q < kQuarters; ++q) {
      const int8x16_t w = vreinterpretq_s8_u8(vld1q_u8(levels + kStep * 64 + q * 16));
      for (int t = 0; t < kTokens; ++t) dot[t][q] = vdotq_laneq_s32(dot[t][q], w, x[t], kStep);
    }
  }

  // dot[t][q] += levels . input over the columns of one block.
  template <int kColumns, int kTokens>
  static inline __attribute__((always_inline)) void DotBlock(const uint8_t* levels,
                                                             const uint8_t* values,
                                                             int32x4_t (&dot)[kTokens][kQuarters]) {
    for (int column = 0; column < kColumns; column += 16) {
      int8x16_t x[kTokens];
      for (int t = 0; t < kTokens; ++t)
        x[t] = vreinterpretq_s8_u8(vld1q_u8(values + t * kChunk + column));
      AddStep<0>(levels + column * kGroupRows, x, dot);
      AddStep<1>(levels + column * kGroupRows, x, dot);
      AddStep<2>(levels + column * kGroupRows, x, dot);
      AddStep<3>(levels + column * kGroupRows, x, dot);
    }
  }
};

// One group of rows x Dots::kMaxTokens tokens; the float sums of a chunk live in the first-level
// cache.
template <typename Dots>
struct TilesNeon {
  static constexpr int kMaxTokens = Dots::kMaxTokens;

  template <TileShape shape, int kTokens>
  static void Tile(const R16Panel& panel, int blocks, const ChunkInput& input, float* sums) {
    float32x4_t sum[kTokens][kQuarters];
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < kQuarters; ++q) {
        sum[t][q] =
            shape.super ? vdupq_n_f32(0) : vld1q_f32(sums + t * kTileGroups * kGroupRows + q * 4);
      }
    }
    for (int b = 0; b < blocks; ++b) {
      const uint8_t* next = panel.next + b * input.prefetch_lines * 64;
      for (int64_t line = 0; line < input.prefetch_lines; ++line)
        __builtin_prefetch(next + line * 64);
      int32x4_t dot[kTokens][kQuarters];
      for (int t = 0; t < kTokens; ++t) {
        for (int q = 0; q < kQuarters; ++q) dot[t][q] = vdupq_n_s32(0);
      }
      Dots::template DotBlock<shape.block>(panel.levels + b * shape.block * kGroupRows,
                                           input.values + b * shape.block, dot);
      for (int t = 0; t < kTokens; ++t) {
        for (int q = 0; q < kQuarters; ++q) {
          float32x4_t value = vcvtq_f32_s32(dot[t][q]);
          if constexpr (!shape.super)
            value = vmulq_n_f32(value, input.scale[ScaleIndex<shape>(t, b)]);
          sum[t][q] = vfmaq_f32(sum[t][q], value, vld1q_f32(panel.scale[b] + q * 4));
          if constexpr (!shape.super && shape.min) {
            sum[t][q] = vfmaq_n_f32(sum[t][q], vld1q_f32(panel.block_min[b] + q * 4),
                                    input.scaled_sum[t * 8 + b]);
          }
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < kQuarters; ++q) {
        float* at = sums + t * kTileGroups * kGroupRows + q * 4;
        if constexpr (shape.super) {
          sum[t][q] = Finish<shape>(panel, input, t, q, sum[t][q], vld1q_f32(at));
        }
        vst1q_f32(at, sum[t][q]);
      }
    }
  }

  // before + input scale * (d * sum - dmin * minimums . sums of the input)
  template <TileShape shape>
  static inline __attribute__((always_inline)) float32x4_t Finish(const R16Panel& panel,
                                                                  const ChunkInput& input, int t,
                                                                  int q, float32x4_t sum,
                                                                  float32x4_t before) {
    sum = vmulq_f32(sum, vld1q_f32(panel.d + q * 4));
    if constexpr (shape.min) {
      int32x4_t dot = vdupq_n_s32(0);
      for (int p = 0; p < kBlocks<shape> / 2; ++p) {
        int32_t pair;
        std::memcpy(&pair, input.sum + t * kBlocks<shape> + 2 * p, sizeof(pair));
        const int16x8_t sums = vreinterpretq_s16_s32(vdupq_n_s32(pair));
        const int16x8_t minimums = vld1q_s16(panel.min[p][q * 4]);
        dot = vaddq_s32(dot, vpaddq_s32(vmull_s16(vget_low_s16(minimums), vget_low_s16(sums)),
                                        vmull_high_s16(minimums, sums)));
      }
      sum = vfmsq_f32(sum, vcvtq_f32_s32(dot), vld1q_f32(panel.dmin + q * 4));
    }
    return vfmaq_n_f32(before, sum, input.scale[t]);
  }

  template <TileShape shape, int kTokens>
  static void RunGroup(int tokens, const R16Panel& panel, int blocks, const ChunkInput& input,
                       float* sums) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens) return RunGroup<shape, kTokens - 1>(tokens, panel, blocks, input, sums);
    }
    Tile<shape, kTokens>(panel, blocks, input, sums);
  }

  template <TileShape shape, int kGroups>
  static void Run(int tokens, const R16Panel* panels, int blocks, const ChunkInput& input,
                  float* sums) {
    for (int g = 0; g < kGroups; ++g)
      RunGroup<shape, kMaxTokens>(tokens, panels[g], blocks, input, sums + g * kGroupRows);
  }
};

using TilesDotprod = TilesNeon<DotsDotprod>;

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_SIMD_DOTPROD_H_
