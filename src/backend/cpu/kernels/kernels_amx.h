// The rows of the AMX units, for the table in kernels_avx512.cc.
#ifndef PUNA_BACKEND_CPU_KERNELS_KERNELS_AMX_H_
#define PUNA_BACKEND_CPU_KERNELS_KERNELS_AMX_H_

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

extern const TypeList kLegacyAmx;
extern const TypeList kKAmx;

// As IsaKernels::spin_dots, for tiles. REQUIRES: tiles have been requested from the system.
int64_t SpinTileDots(int64_t rounds);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_KERNELS_AMX_H_
