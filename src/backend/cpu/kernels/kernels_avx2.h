// The rows of the AVX2 and AVX-VNNI units, for the tables in kernels_avx2.cc.
#ifndef PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX2_H_
#define PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX2_H_

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

extern const TypeList kFloatAvx2;
extern const TypeList kLegacyAvx2;
extern const TypeList kKAvx2;
extern const TypeList kLegacyAvxvnni;
extern const TypeList kKAvxvnni;
extern const TypeList kGridAvx2;
extern const TypeList kGridAvxvnni;

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX2_H_
