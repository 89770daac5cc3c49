// NEON: the generic kernel with a panel product of its own, for every type; types with kernels of
// their own are none yet.
#include <arm_neon.h>

#include "backend/cpu/kernels/generic.h"
#include "backend/cpu/kernels/prepare_input.h"

namespace puna::backend::cpu {
namespace {

bool Available() { return true; }  // every 64-bit ARM processor has it

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

constexpr GemmKernels kGeneric = {
    .name = "generic neon",
    .input = InputFormat::kF32,
    .group_bytes = &GenericGroupBytes,
    .pack = &GenericPack,
    .unpack = &GenericUnpack,
    .multiply = &MultiplyGeneric,
};

constexpr IsaKernels kNeon = {
    .isa = Isa::kNeon,
    .name = "neon",
    .available = &Available,
    .generic = &kGeneric,
    .types = nullptr,
    .type_lists = 0,
    .prepare = {&PrepareF32, &PrepareInt8Block32, &PrepareInt8Block256},
};

}  // namespace

const IsaKernels* NeonKernels() { return &kNeon; }

}  // namespace puna::backend::cpu
