// NEON, without and with int8 products of vectors and of small matrices: the tables, the
// preparation of inputs, and the float32 panel product of the generic kernel, which without those
// multiplies all quantized types.
#include "backend/cpu/kernels/kernels_neon.h"

#include <arm_neon.h>

#include "backend/cpu/kernels/cpu_features.h"
#include "backend/cpu/kernels/generic.h"
#include "backend/cpu/kernels/prepare_input.h"

namespace puna::backend::cpu {
namespace {

bool PlainAvailable() { return true; }  // every 64-bit ARM processor has it
bool DotprodAvailable() { return GetCpuFeatures().dotprod; }
bool I8mmAvailable() { return GetCpuFeatures().i8mm; }

template <int kTokens>
void PanelTile(const float* panel, int64_t count, const float* input, float* sums) {
  float32x4_t sum[kTokens][4];
  for (int t = 0; t < kTokens; ++t) {
    for (int q = 0; q < 4; ++q) sum[t][q] = vld1q_f32(sums + t * kGroupRows + q * 4);
  }
  for (int64_t k = 0; k < count; ++k) {
    float32x4_t w[4];
    for (int q = 0; q < 4; ++q) w[q] = vld1q_f32(panel + k * kGroupRows + q * 4);
    for (int t = 0; t < kTokens; ++t) {
      for (int q = 0; q < 4; ++q) sum[t][q] = vfmaq_n_f32(sum[t][q], w[q], input[t * kChunk + k]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int q = 0; q < 4; ++q) vst1q_f32(sums + t * kGroupRows + q * 4, sum[t][q]);
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

// The instructions by name, because this unit is compiled for processors without them; assembly
// also because the compiler would see through sums that nobody needs.
template <bool kMatrices>
int64_t SpinDots(int64_t rounds) {
  constexpr int kSums = 16;
  int32x4_t sum[kSums] = {};
  const int8x16_t factor = vdupq_n_s8(1);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int s = 0; s < kSums; ++s) {
      if constexpr (kMatrices) {
        asm volatile(".arch armv8.2-a+i8mm\n\tsmmla %0.4s, %1.16b, %1.16b"
                     : "+w"(sum[s])
                     : "w"(factor));
      } else {
        asm volatile(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %1.16b"
                     : "+w"(sum[s])
                     : "w"(factor));
      }
    }
  }
  return rounds * kSums * (kMatrices ? 32 : 16);
}

constexpr GemmKernels kGeneric = {
    .name = "generic neon",
    .input = InputFormat::kF32,
    .tile_bytes = &GenericTileBytes,
    .pack = &GenericPack,
    .unpack = &GenericUnpack,
    .multiply = &MultiplyGeneric,
};

constexpr const TypeList* kPlainLists[] = {&kFloatNeon};
constexpr const TypeList* kDotprodLists[] = {&kFloatNeon, &kLegacyDotprod, &kKDotprod,
                                             &kGridDotprod};

constexpr const TypeList* kI8mmLists[] = {&kFloatNeon, &kLegacyI8mm, &kKI8mm, &kGridI8mm};

constexpr IsaKernels Table(Isa isa, const char* name, bool (*available)(),
                           const TypeList* const* lists, int64_t list_count,
                           int64_t (*spin_dots)(int64_t)) {
  return {
      .isa = isa,
      .name = name,
      .available = available,
      .generic = &kGeneric,
      .types = lists,
      .type_lists = list_count,
      .prepare = {&PrepareF32, &PrepareInt8Block32<PortableRounding>,
                  &PrepareInt8Block256<PortableRounding>, &PrepareBf16},
      .spin_dots = spin_dots,
  };
}

constexpr IsaKernels kPlain = Table(Isa::kNeon, "neon", &PlainAvailable, kPlainLists, 1, nullptr);
constexpr IsaKernels kDotprod =
    Table(Isa::kDotprod, "dotprod", &DotprodAvailable, kDotprodLists, 4, &SpinDots<false>);

constexpr IsaKernels kI8mm =
    Table(Isa::kI8mm, "i8mm", &I8mmAvailable, kI8mmLists, 4, &SpinDots<true>);

}  // namespace

const IsaKernels* NeonKernels() { return &kPlain; }
const IsaKernels* DotprodKernels() { return &kDotprod; }
const IsaKernels* I8mmKernels() { return &kI8mm; }

}  // namespace puna::backend::cpu
