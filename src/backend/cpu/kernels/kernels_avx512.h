// The multiply functions of the AVX-512 units, for the table in kernels_avx512.cc.
#ifndef PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX512_H_
#define PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX512_H_

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

void MultiplyF32Avx512(const MultiplyTask& task);
void MultiplyF16Avx512(const MultiplyTask& task);
void MultiplyBF16Avx512(const MultiplyTask& task);
void MultiplyQ4_0Avx512(const MultiplyTask& task);
void MultiplyQ4_1Avx512(const MultiplyTask& task);
void MultiplyQ5_0Avx512(const MultiplyTask& task);
void MultiplyQ5_1Avx512(const MultiplyTask& task);
void MultiplyQ8_0Avx512(const MultiplyTask& task);
void MultiplyIQ4_NLAvx512(const MultiplyTask& task);
void MultiplyMXFP4Avx512(const MultiplyTask& task);
void MultiplyQ2_KAvx512(const MultiplyTask& task);
void MultiplyQ3_KAvx512(const MultiplyTask& task);
void MultiplyQ4_KAvx512(const MultiplyTask& task);
void MultiplyQ5_KAvx512(const MultiplyTask& task);
void MultiplyQ6_KAvx512(const MultiplyTask& task);
void MultiplyIQ4_XSAvx512(const MultiplyTask& task);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_KERNELS_AVX512_H_
