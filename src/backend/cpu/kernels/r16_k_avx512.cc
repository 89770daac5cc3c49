// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {

void MultiplyQ2_KAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q2_K, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ3_KAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q3_K, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ4_KAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q4_K, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ5_KAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q5_K, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ6_KAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q6_K, SimdAvx512, TilesAvx512>(task);
}
void MultiplyIQ4_XSAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16IQ4_XS, SimdAvx512, TilesAvx512>(task);
}

}  // namespace puna::backend::cpu
