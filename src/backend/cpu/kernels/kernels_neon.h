// The rows of the NEON units, without and with int8 dot products, for the tables in
// kernels_neon.cc.
#ifndef PUNA_BACKEND_CPU_KERNELS_KERNELS_NEON_H_
#define PUNA_BACKEND_CPU_KERNELS_KERNELS_NEON_H_

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

extern const TypeList kFloatNeon;
extern const TypeList kLegacyDotprod;
extern const TypeList kKDotprod;
extern const TypeList kGridDotprod;
extern const TypeList kLegacyI8mm;
extern const TypeList kKI8mm;
extern const TypeList kGridI8mm;

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_KERNELS_NEON_H_
