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

// 2 groups, in two halves each, x 3 tokens: 12 sums, 3 broadcasts of the input and a vector of
// weights.
struct FloatTilesAvx2 {
  using Input = float;
  static constexpr int kMaxTokens = 3;

  template <typename Element, int kGroups, int kTokens>
  static void Tile(const Element* columns, int64_t count, const float* input, float* sums) {
    constexpr int kHalves = 2 * kGroups;
    __m256 sum[kTokens][kHalves];
    for (int t = 0; t < kTokens; ++t) {
      for (int h = 0; h < kHalves; ++h) sum[t][h] = _mm256_load_ps(sums + t * kTileRows + h * 8);
    }
    for (int64_t k = 0; k < count; ++k) {
      __m256 x[kTokens];
      for (int t = 0; t < kTokens; ++t) x[t] = _mm256_set1_ps(input[t * kChunk + k]);
      for (int h = 0; h < kHalves; ++h) {
        const __m256 w = Load(columns + k * kTileRows + h * 8);
        for (int t = 0; t < kTokens; ++t) sum[t][h] = _mm256_fmadd_ps(w, x[t], sum[t][h]);
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int h = 0; h < kHalves; ++h) _mm256_store_ps(sums + t * kTileRows + h * 8, sum[t][h]);
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
    FloatRow<FloatBits, FloatTilesAvx2>(quant::TensorType::kF32, "f32 avx2"),
    FloatRow<HalfBits, FloatTilesAvx2>(quant::TensorType::kF16, "f16 avx2"),
    FloatRow<Bfloat16Bits, FloatTilesAvx2>(quant::TensorType::kBF16, "bf16 avx2"),
};

}  // namespace

const TypeList kFloatAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
