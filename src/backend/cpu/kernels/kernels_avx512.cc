// AVX-512 with VNNI: the tables of it, with products of bfloat16 and with tiles, the preparation of
// inputs, and the float32 panel product of the generic kernel.
#include "backend/cpu/kernels/kernels_avx512.h"

#include <immintrin.h>

#include "backend/cpu/kernels/cpu_features.h"
#include "backend/cpu/kernels/generic.h"
#include "backend/cpu/kernels/kernels_amx.h"
#include "backend/cpu/kernels/prepare_input_avx512.h"

namespace puna::backend::cpu {
namespace {

bool VectorAvailable() { return GetCpuFeatures().avx512_vnni; }
bool Bf16Available() { return GetCpuFeatures().avx512_bf16; }

template <int kTokens>
void PanelTile(const float* panel, int64_t count, const float* input, float* sums) {
  __m512 sum[kTokens];
  for (int t = 0; t < kTokens; ++t) sum[t] = _mm512_load_ps(sums + t * kGroupRows);
  for (int64_t k = 0; k < count; ++k) {
    const __m512 w = _mm512_load_ps(panel + k * kGroupRows);
    for (int t = 0; t < kTokens; ++t) {
      sum[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(input[t * kChunk + k]), sum[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) _mm512_store_ps(sums + t * kGroupRows, sum[t]);
}

void MultiplyPanel(const float* panel, int64_t count, const float* input, int64_t tokens,
                   float* sums) {
  for (; tokens >= 12; tokens -= 12, input += 12 * kChunk, sums += 12 * kGroupRows) {
    PanelTile<12>(panel, count, input, sums);
  }
  for (; tokens >= 4; tokens -= 4, input += 4 * kChunk, sums += 4 * kGroupRows) {
    PanelTile<4>(panel, count, input, sums);
  }
  for (; tokens > 0; --tokens, input += kChunk, sums += kGroupRows)
    PanelTile<1>(panel, count, input, sums);
}

void MultiplyGeneric(const MultiplyTask& task) { GenericMultiply(task, &MultiplyPanel); }

// Assembly, because the compiler would see through sums that nobody needs.
int64_t SpinDots(int64_t rounds) {
  constexpr int kSums = 12;
  __m512i sum[kSums] = {};
  const __m512i factor = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s)
      asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum[s]) : "v"(factor));
  }
  return rounds * kSums * 64;
}

constexpr GemmKernels kGeneric = {
    .name = "generic avx512vnni",
    .input = InputFormat::kF32,
    .tile_bytes = &GenericTileBytes,
    .pack = &GenericPack,
    .unpack = &GenericUnpack,
    .multiply = &MultiplyGeneric,
};

constexpr const TypeList* kVectorLists[] = {&kFloatAvx512, &kLegacyAvx512, &kKAvx512,
                                            &kGridAvx512Vbmi, &kGridAvx512};
constexpr const TypeList* kBf16Lists[] = {&kFloatAvx512Bf16, &kFloatAvx512,    &kLegacyAvx512,
                                          &kKAvx512,         &kGridAvx512Vbmi, &kGridAvx512};
constexpr const TypeList* kTileLists[] = {&kFloatAvx512Bf16, &kFloatAvx512,    &kLegacyAmx, &kKAmx,
                                          &kLegacyAvx512,    &kGridAvx512Vbmi, &kGridAvx512};

template <int64_t kLists>
constexpr IsaKernels Table(Isa isa, const char* name, bool (*available)(),
                           const TypeList* const (&lists)[kLists], int64_t (*spin_dots)(int64_t)) {
  return {
      .isa = isa,
      .name = name,
      .available = available,
      .generic = &kGeneric,
      .types = lists,
      .type_lists = kLists,
      .prepare = {&PrepareF32, &PrepareInt8Block32<Avx512Rounding>,
                  &PrepareInt8Block256<Avx512Rounding>, &PrepareBf16},
      .spin_dots = spin_dots,
  };
}

constexpr IsaKernels kVector =
    Table(Isa::kAvx512Vnni, "avx512vnni", &VectorAvailable, kVectorLists, &SpinDots);
constexpr IsaKernels kBf16 =
    Table(Isa::kAvx512Bf16, "avx512bf16", &Bf16Available, kBf16Lists, &SpinDots);
constexpr IsaKernels kTile = Table(Isa::kAmx, "amx", &RequestTiles, kTileLists, &SpinTileDots);

}  // namespace

const IsaKernels* Avx512Kernels() { return &kVector; }
const IsaKernels* Avx512Bf16Kernels() { return &kBf16; }
const IsaKernels* AmxKernels() { return &kTile; }

}  // namespace puna::backend::cpu
