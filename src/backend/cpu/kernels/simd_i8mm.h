// The tile kernel for int8 with products of small matrices (ARMv8.6 "i8mm"): one instruction
// multiplies two rows x 8 columns of levels with 8 columns x two tokens, twice the products of a
// dot product instruction.
#ifndef PUNA_BACKEND_CPU_KERNELS_SIMD_I8MM_H_
#define PUNA_BACKEND_CPU_KERNELS_SIMD_I8MM_H_

#include <arm_neon.h>

#include "backend/cpu/kernels/simd_dotprod.h"

namespace puna::backend::cpu {
namespace {

// Six tokens: 24 registers of sums, two of levels and three of inputs of the 32.
struct DotsI8mm {
  static constexpr int kMaxTokens = 6;
  static constexpr int kRowPairs = kGroupRows / 2;

  // sums[p][r] is {row 0 token 0, row 0 token 1, row 1 token 0, row 1 token 1} of a pair of tokens
  // and a pair of rows; += 8 columns, whose levels begin at `levels`.
  template <int kPairs>
  static inline __attribute__((always_inline)) void AddStep(const uint8_t* levels,
                                                            const int8x16_t (&x)[kPairs],
                                                            int32x4_t (&sums)[kPairs][kRowPairs]) {
    for (int q = 0; q < kQuarters; ++q) {
      // Four rows x 4 columns, and the next 4 columns of the same rows.
      const uint32x4_t first = vreinterpretq_u32_u8(vld1q_u8(levels + q * 16));
      const uint32x4_t second = vreinterpretq_u32_u8(vld1q_u8(levels + 64 + q * 16));
      const int8x16_t upper = vreinterpretq_s8_u32(vzip1q_u32(first, second));
      const int8x16_t lower = vreinterpretq_s8_u32(vzip2q_u32(first, second));
      for (int p = 0; p < kPairs; ++p) {
        sums[p][2 * q] = vmmlaq_s32(sums[p][2 * q], upper, x[p]);
        sums[p][2 * q + 1] = vmmlaq_s32(sums[p][2 * q + 1], lower, x[p]);
      }
    }
  }

  // dot[t][q] += levels . input over the columns of one block.
  template <int kColumns, int kTokens>
  static inline __attribute__((always_inline)) void DotBlock(const uint8_t* levels,
                                                             const uint8_t* values,
                                                             int32x4_t (&dot)[kTokens][kQuarters]) {
    if constexpr (kTokens == 1) {
      DotsDotprod::DotBlock<kColumns>(levels, values, dot);
    } else {
      constexpr int kPairs = (kTokens + 1) / 2;
      int32x4_t sums[kPairs][kRowPairs];
      for (int p = 0; p < kPairs; ++p) {
        for (int r = 0; r < kRowPairs; ++r) sums[p][r] = vdupq_n_s32(0);
      }
      for (int column = 0; column < kColumns; column += 16) {
        int8x16_t low[kPairs], high[kPairs];
        for (int p = 0; p < kPairs; ++p) {
          // The last of an odd number of tokens is its own neighbour.
          const int second = 2 * p + 1 < kTokens ? 2 * p + 1 : 2 * p;
          const int64x2_t x0 = LoadColumns(values + 2 * p * kChunk + column);
          const int64x2_t x1 = LoadColumns(values + second * kChunk + column);
          low[p] = vreinterpretq_s8_s64(vzip1q_s64(x0, x1));
          high[p] = vreinterpretq_s8_s64(vzip2q_s64(x0, x1));
        }
        AddStep<kPairs>(levels + column * kGroupRows, low, sums);
        AddStep<kPairs>(levels + (column + 8) * kGroupRows, high, sums);
      }
      for (int t = 0; t < kTokens; ++t) {
        for (int q = 0; q < kQuarters; ++q) {
          const int32x4_t upper = sums[t / 2][2 * q], lower = sums[t / 2][2 * q + 1];
          dot[t][q] = vaddq_s32(dot[t][q],
                                t % 2 == 0 ? vuzp1q_s32(upper, lower) : vuzp2q_s32(upper, lower));
        }
      }
    }
  }

 private:
  static int64x2_t LoadColumns(const uint8_t* values) {
    return vreinterpretq_s64_u8(vld1q_u8(values));
  }
};

using TilesI8mm = TilesNeon<DotsI8mm>;

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_SIMD_I8MM_H_
