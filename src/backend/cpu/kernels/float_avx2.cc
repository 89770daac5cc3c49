// F32, F16 and BF16 weights on AVX2.
#include <immintrin.h>

#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/r16_float.h"

namespace puna::backend::cpu {
namespace {

// Eight values.
inline __m256 Load(const FloatBits* from) {
  return _mm256_loadu_ps(reinterpret_cast<const float*>(from));
}
inline __m256 Load(const HalfBits* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline __m256 Load(const Bfloat16Bits* from) {
  const __m256i wide =
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

// One group, in two halves, x 6 tokens: 12 sums, 2 vectors of weights and a broadcast.
struct FloatTilesAvx2 {
  using Input = float;
  static constexpr int kMaxTokens = 6;

  template <typename Element, int kTokens>
  static void Tile(const Element* weights, int64_t count, const float* input, float* sums) {
    __m256 sum[kTokens][2];
    for (int t = 0; t < kTokens; ++t) {
      for (int half = 0; half < 2; ++half)
        sum[t][half] = _mm256_load_ps(sums + t * 2 * kGroupRows + half * 8);
    }
    for (int64_t k = 0; k < count; ++k) {
      const __m256 w[2] = {Load(weights + k * kGroupRows), Load(weights + k * kGroupRows + 8)};
      for (int t = 0; t < kTokens; ++t) {
        const __m256 x = _mm256_set1_ps(input[t * kChunk + k]);
        for (int half = 0; half < 2; ++half)
          sum[t][half] = _mm256_fmadd_ps(w[half], x, sum[t][half]);
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int half = 0; half < 2; ++half)
        _mm256_store_ps(sums + t * 2 * kGroupRows + half * 8, sum[t][half]);
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
    FloatRow<FloatBits, FloatTilesAvx2>(quant::TensorType::kF32, "f32 avx2"),
    FloatRow<HalfBits, FloatTilesAvx2>(quant::TensorType::kF16, "f16 avx2"),
    FloatRow<Bfloat16Bits, FloatTilesAvx2>(quant::TensorType::kBF16, "bf16 avx2"),
};

}  // namespace

const TypeList kFloatAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
