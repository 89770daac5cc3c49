// AVX2, without and with the dot products of AVX-VNNI: the tables, the preparation of inputs, and
// the float32 panel product of the generic kernel.
#include "backend/cpu/kernels/kernels_avx2.h"

#include <immintrin.h>

#include "backend/cpu/kernels/cpu_features.h"
#include "backend/cpu/kernels/generic.h"
#include "backend/cpu/kernels/prepare_input.h"

namespace puna::backend::cpu {
namespace {

bool PlainAvailable() { return GetCpuFeatures().avx2; }
bool VnniAvailable() { return GetCpuFeatures().avx_vnni; }

template <int kTokens>
void PanelTile(const float* panel, int64_t count, const float* input, float* sums) {
  __m256 sum[kTokens][2];
  for (int t = 0; t < kTokens; ++t) {
    for (int half = 0; half < 2; ++half)
      sum[t][half] = _mm256_load_ps(sums + t * kGroupRows + half * 8);
  }
  for (int64_t k = 0; k < count; ++k) {
    const float* at = panel + k * kGroupRows;
    const __m256 w[2] = {_mm256_load_ps(at), _mm256_load_ps(at + 8)};
    for (int t = 0; t < kTokens; ++t) {
      const __m256 x = _mm256_set1_ps(input[t * kChunk + k]);
      for (int half = 0; half < 2; ++half) sum[t][half] = _mm256_fmadd_ps(w[half], x, sum[t][half]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int half = 0; half < 2; ++half)
      _mm256_store_ps(sums + t * kGroupRows + half * 8, sum[t][half]);
  }
}

void MultiplyPanel(const float* panel, int64_t count, const float* input, int64_t tokens,
                   float* sums) {
  for (; tokens >= 4; tokens -= 4, input += 4 * kChunk, sums += 4 * kGroupRows) {
    PanelTile<4>(panel, count, input, sums);
  }
  for (; tokens > 0; --tokens, input += kChunk, sums += kGroupRows)
    PanelTile<1>(panel, count, input, sums);
}

void MultiplyGeneric(const MultiplyTask& task) { GenericMultiply(task, &MultiplyPanel); }

// Products of AVX2 without VNNI as the kernels have them at best: eight of unsigned times signed
// bytes are summed as pairs, which levels of up to four bits allow, then these are widened.
// Assembly, because the compiler would see through sums that nobody needs.
int64_t SpinDots(int64_t rounds) {
  constexpr int kSums = 4, kRun = 8;
  __m256i sum[kSums] = {};
  const __m256i bytes = _mm256_set1_epi8(1), words = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < rounds; ++i) {
    __m256i run[kSums] = {};
#pragma GCC unroll 8
    for (int k = 0; k < kRun; ++k) {
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) {
        __m256i product;
        asm volatile("vpmaddubsw %2, %2, %0\n\tvpaddw %0, %1, %1"
                     : "=&x"(product), "+x"(run[s])
                     : "x"(bytes));
      }
    }
#pragma GCC unroll 4
    for (int s = 0; s < kSums; ++s)
      asm volatile("vpmaddwd %2, %0, %0\n\tvpaddd %0, %1, %1"
                   : "+x"(run[s]), "+x"(sum[s])
                   : "x"(words));
  }
  return rounds * kSums * kRun * 32;
}

// Products of AVX-VNNI, which this unit may not use but for processors that have them.
int64_t SpinVnniDots(int64_t rounds) {
  constexpr int kSums = 12;
  __m256i sum[kSums] = {};
  const __m256i factor = _mm256_set1_epi8(1);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kSums; ++s)
      asm volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sum[s]) : "x"(factor));
  }
  return rounds * kSums * 32;
}

constexpr GemmKernels kGeneric = {
    .name = "generic avx2",
    .input = InputFormat::kF32,
    .tile_bytes = &GenericTileBytes,
    .pack = &GenericPack,
    .unpack = &GenericUnpack,
    .multiply = &MultiplyGeneric,
};

constexpr const TypeList* kPlainLists[] = {&kFloatAvx2, &kLegacyAvx2, &kKAvx2, &kGridAvx2};
constexpr const TypeList* kVnniLists[] = {&kFloatAvx2, &kLegacyAvxvnni, &kKAvxvnni, &kGridAvxvnni};

constexpr IsaKernels Table(Isa isa, const char* name, bool (*available)(),
                           const TypeList* const (&lists)[4], int64_t (*spin_dots)(int64_t)) {
  return {
      .isa = isa,
      .name = name,
      .available = available,
      .generic = &kGeneric,
      .types = lists,
      .type_lists = 4,
      .prepare = {&PrepareF32, &PrepareInt8Block32<PortableRounding>,
                  &PrepareInt8Block256<PortableRounding>, &PrepareBf16},
      .spin_dots = spin_dots,
  };
}

constexpr IsaKernels kPlain = Table(Isa::kAvx2, "avx2", &PlainAvailable, kPlainLists, &SpinDots);
constexpr IsaKernels kVnni =
    Table(Isa::kAvxVnni, "avxvnni", &VnniAvailable, kVnniLists, &SpinVnniDots);

}  // namespace

const IsaKernels* Avx2Kernels() { return &kPlain; }
const IsaKernels* AvxVnniKernels() { return &kVnni; }

}  // namespace puna::backend::cpu
