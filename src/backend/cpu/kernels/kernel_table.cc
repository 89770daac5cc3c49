// The instruction sets that this program was built with, and the look-up with its fallbacks: a type
// without kernels of its own takes the generic ones of the same instruction set, an instruction set
// without anything takes the scalar ones.
#include "backend/cpu/kernels/kernel_table.h"

#include "base/check.h"

namespace puna::backend::cpu {

const IsaKernels& KernelsOf(Isa isa) {
  const IsaKernels* found = nullptr;
  switch (isa) {
    case Isa::kScalar:
      break;
#if defined(__x86_64__)
    case Isa::kAvx2:
      found = Avx2Kernels();
      break;
    case Isa::kAvxVnni:
      found = AvxVnniKernels();
      break;
    case Isa::kAvx512Vnni:
      found = Avx512Kernels();
      break;
    case Isa::kAvx512Bf16:
      found = Avx512Bf16Kernels();
      break;
    case Isa::kAmx:
      found = AmxKernels();
      break;
#elif defined(__aarch64__)
    case Isa::kNeon:
      found = NeonKernels();
      break;
    case Isa::kDotprod:
      found = DotprodKernels();
      break;
    case Isa::kI8mm:
      found = I8mmKernels();
      break;
#endif
    default:  // of another processor family
      break;
  }
  return found != nullptr ? *found : ScalarKernels();
}

const GemmKernels& FindKernels(quant::TensorType type, Isa isa) {
  const IsaKernels& kernels = KernelsOf(isa);
  for (int64_t i = 0; i < kernels.type_lists; ++i) {
    const TypeList& list = *kernels.types[i];
    if (list.available != nullptr && !list.available()) continue;
    for (int64_t row = 0; row < list.count; ++row) {
      if (list.rows[row].type == type) return list.rows[row].kernels;
    }
  }
  return kernels.generic != nullptr ? *kernels.generic : *ScalarKernels().generic;
}

}  // namespace puna::backend::cpu
