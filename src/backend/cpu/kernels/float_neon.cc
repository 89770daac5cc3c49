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

// 2 groups x 3 tokens: 24 sums, 3 broadcasts of the input and a register of weights.
struct FloatTilesNeon {
  using Input = float;
  static constexpr int kMaxTokens = 3;

  template <typename Element, int kGroups, int kTokens>
  static void Tile(const Element* columns, int64_t count, const float* input, float* sums) {
    constexpr int kQuarters = 4 * kGroups;
    float32x4_t sum[kTokens][kQuarters];
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < kQuarters; ++q) sum[t][q] = vld1q_f32(sums + t * kTileRows + q * 4);
    }
    for (int64_t k = 0; k < count; ++k) {
      float32x4_t x[kTokens];
      for (int t = 0; t < kTokens; ++t) x[t] = vld1q_dup_f32(input + t * kChunk + k);
      for (int q = 0; q < kQuarters; ++q) {
        const float32x4_t w = Load(columns + k * kTileRows + q * 4);
        for (int t = 0; t < kTokens; ++t) sum[t][q] = vfmaq_f32(sum[t][q], w, x[t]);
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < kQuarters; ++q) vst1q_f32(sums + t * kTileRows + q * 4, sum[t][q]);
    }
  }

  template <typename Element, int kGroups, int kTokens = kMaxTokens>
  static void Run(int tokens, const Element* columns, int64_t count, const float* input,
                  float* sums) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens)
        return Run<Element, kGroups, kTokens - 1>(tokens, columns, count, input, sums);
    }
    Tile<Element, kGroups, kTokens>(columns, count, input, sums);
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
