// The portable instruction set: everything runs through the generic kernel. It is the fallback of
// the others and their slow twin in the tests.
#include <algorithm>

#include "backend/cpu/kernels/generic.h"
#include "backend/cpu/kernels/prepare_input.h"

namespace puna::backend::cpu {
namespace {

void MultiplyPanel(const float* panel, int64_t count, const float* input, int64_t tokens,
                   float* sums) {
  for (int64_t t = 0; t < tokens; ++t) {
    float lanes[kGroupRows];
    std::copy_n(sums + t * kGroupRows, kGroupRows, lanes);
    for (int64_t k = 0; k < count; ++k) {
      const float x = input[t * kChunk + k];
      for (int64_t r = 0; r < kGroupRows; ++r) lanes[r] += panel[k * kGroupRows + r] * x;
    }
    std::copy_n(lanes, kGroupRows, sums + t * kGroupRows);
  }
}

void Multiply(const MultiplyTask& task) { GenericMultiply(task, &MultiplyPanel); }

bool Always() { return true; }

constexpr GemmKernels kGeneric = {
    .name = "generic scalar",
    .input = InputFormat::kF32,
    .tile_bytes = &GenericTileBytes,
    .pack = &GenericPack,
    .unpack = &GenericUnpack,
    .multiply = &Multiply,
};

constexpr IsaKernels kScalar = {
    .isa = Isa::kScalar,
    .name = "scalar",
    .available = &Always,
    .generic = &kGeneric,
    .types = nullptr,
    .type_lists = 0,
    .prepare = {&PrepareF32, &PrepareInt8Block32<PortableRounding>,
                &PrepareInt8Block256<PortableRounding>, &PrepareBf16},
};

}  // namespace

const IsaKernels& ScalarKernels() { return kScalar; }

}  // namespace puna::backend::cpu
