// F32, F16 and BF16 weights on NEON.
#include <arm_neon.h>

#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/r16_float.h"

namespace puna::backend::cpu {
namespace {

// Four values.
inline float32x4_t Load(const FloatBits* from) {
  return vreinterpretq_f32_u32(vld1q_u32(&from->bits));
}
inline float32x4_t Load(const HalfBits* from) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&from->bits)));
}
inline float32x4_t Load(const Bfloat16Bits* from) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(&from->bits), 16));
}

// One group x 4 tokens: 16 sums, four registers of weights and a broadcast.
struct FloatTilesNeon {
  using Input = float;
  static constexpr int kMaxTokens = 4;

  template <typename Element, int kTokens>
  static void Tile(const Element* weights, int64_t count, const float* input, float* sums) {
    float32x4_t sum[kTokens][4];
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < 4; ++q) sum[t][q] = vld1q_f32(sums + t * 2 * kGroupRows + q * 4);
    }
    for (int64_t k = 0; k < count; ++k) {
      float32x4_t w[4];
      for (int q = 0; q < 4; ++q) w[q] = Load(weights + k * kGroupRows + q * 4);
      for (int t = 0; t < kTokens; ++t) {
        const float32x4_t x = vld1q_dup_f32(input + t * kChunk + k);
        for (int q = 0; q < 4; ++q) sum[t][q] = vfmaq_f32(sum[t][q], w[q], x);
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < 4; ++q) vst1q_f32(sums + t * 2 * kGroupRows + q * 4, sum[t][q]);
    }
  }

  template <typename Element, int kGroups, int kTokens = kMaxTokens>
  static void Run(int tokens, const Element* const* groups, int64_t count, const float* input,
                  float* sums) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens)
        return Run<Element, kGroups, kTokens - 1>(tokens, groups, count, input, sums);
    }
    for (int g = 0; g < kGroups; ++g)
      Tile<Element, kTokens>(groups[g], count, input, sums + g * kGroupRows);
  }
};

constexpr TypeKernels kRows[] = {
    FloatRow<FloatBits, FloatTilesNeon>(quant::TensorType::kF32, "f32 neon"),
    FloatRow<HalfBits, FloatTilesNeon>(quant::TensorType::kF16, "f16 neon"),
    FloatRow<Bfloat16Bits, FloatTilesNeon>(quant::TensorType::kBF16, "bf16 neon"),
};

}  // namespace

const TypeList kFloatNeon = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
