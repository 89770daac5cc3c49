// F32, F16 and BF16 weights on AVX-512.
#include <immintrin.h>

#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/r16_float.h"

namespace puna::backend::cpu {
namespace {

inline __m512 Load(const FloatBits* from) { return _mm512_loadu_ps(from); }
inline __m512 Load(const HalfBits* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline __m512 Load(const Bfloat16Bits* from) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

// 2 groups x 12 tokens: 24 sums, 2 vectors of weights and a broadcast.
struct FloatTilesAvx512 {
  using Input = float;
  static constexpr int kMaxTokens = 12;

  template <typename Element, int kGroups, int kTokens>
  static void Tile(const Element* columns, int64_t count, const float* input, float* sums) {
    __m512 sum[kGroups][kTokens];
    for (int g = 0; g < kGroups; ++g) {
      for (int t = 0; t < kTokens; ++t)
        sum[g][t] = _mm512_load_ps(sums + t * kTileRows + g * kGroupRows);
    }
    for (int64_t k = 0; k < count; ++k) {
      __m512 w[kGroups];
      for (int g = 0; g < kGroups; ++g) w[g] = Load(columns + k * kTileRows + g * kGroupRows);
      for (int t = 0; t < kTokens; ++t) {
        const __m512 x = _mm512_set1_ps(input[t * kChunk + k]);
        for (int g = 0; g < kGroups; ++g) sum[g][t] = _mm512_fmadd_ps(w[g], x, sum[g][t]);
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      for (int t = 0; t < kTokens; ++t)
        _mm512_store_ps(sums + t * kTileRows + g * kGroupRows, sum[g][t]);
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
    FloatRow<FloatBits, FloatTilesAvx512>(quant::TensorType::kF32, "f32 avx512vnni"),
    FloatRow<HalfBits, FloatTilesAvx512>(quant::TensorType::kF16, "f16 avx512vnni"),
    FloatRow<Bfloat16Bits, FloatTilesAvx512>(quant::TensorType::kBF16, "bf16 avx512vnni"),
};

}  // namespace

const TypeList kFloatAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
