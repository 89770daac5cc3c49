// The rows of the AVX-512 units, for the table in kernels_avx512.cc.
#ifndef PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX512_H_
#define PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX512_H_

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

extern const TypeList kFloatAvx512;
extern const TypeList kFloatAvx512Bf16;  // BF16 only
extern const TypeList kLegacyAvx512;
extern const TypeList kKAvx512;
extern const TypeList kGridAvx512;
extern const TypeList kGridAvx512Vbmi;  // the same types, where the processor has VBMI too

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX512_H_
