// BF16 weights times inputs that are rounded to BF16: two columns an instruction, twice the rate of
// float32.
#include <immintrin.h>

#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/r16_float.h"

namespace puna::backend::cpu {
namespace {

// 2 groups x 12 tokens: 24 sums, 2 vectors of weights and a broadcast. The instruction adds its two
// products one after the other, whatever the tile, takes denormal numbers for zero, and has no
// modes: the bits depend on nothing but the values.
struct PairTilesAvx512 {
  using Input = Bfloat16Bits;
  static constexpr int kMaxTokens = 12;

  template <int kGroups, int kTokens>
  static void Tile(const PairedBfloat16Bits* columns, int64_t count, const Bfloat16Bits* input,
                   float* sums) {
    __m512 sum[kGroups][kTokens];
    for (int g = 0; g < kGroups; ++g) {
      for (int t = 0; t < kTokens; ++t)
        sum[g][t] = _mm512_load_ps(sums + t * kTileRows + g * kGroupRows);
    }
    // The input's columns past the end are zero.
    for (int64_t k = 0; k < count; k += 2) {
      __m512bh w[kGroups];
      for (int g = 0; g < kGroups; ++g)
        w[g] = reinterpret_cast<__m512bh>(
            _mm512_loadu_si512(columns + k * kTileRows + g * 2 * kGroupRows));
      for (int t = 0; t < kTokens; ++t) {
        int32_t pair;
        std::memcpy(&pair, input + t * kChunk + k, sizeof(pair));
        const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        for (int g = 0; g < kGroups; ++g) sum[g][t] = _mm512_dpbf16_ps(sum[g][t], w[g], x);
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      for (int t = 0; t < kTokens; ++t)
        _mm512_store_ps(sums + t * kTileRows + g * kGroupRows, sum[g][t]);
    }
  }

  template <typename Element, int kGroups, int kTokens = kMaxTokens>
  static void Run(int tokens, const Element* columns, int64_t count, const Bfloat16Bits* input,
                  float* sums) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens)
        return Run<Element, kGroups, kTokens - 1>(tokens, columns, count, input, sums);
    }
    Tile<kGroups, kTokens>(columns, count, input, sums);
  }
};

constexpr TypeKernels kRows[] = {
    FloatRow<PairedBfloat16Bits, PairTilesAvx512>(quant::TensorType::kBF16, "bf16 avx512bf16",
                                                  InputFormat::kBf16),
};

}  // namespace

const TypeList kFloatAvx512Bf16 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
