// What this instruction set brings of its own.
#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

const IsaKernels* Avx2Kernels() { return nullptr; }

}  // namespace puna::backend::cpu
