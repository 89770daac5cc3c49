// int8 kernels for the types with one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {

void MultiplyQ4_0Avx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q4_0, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ4_1Avx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q4_1, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ5_0Avx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q5_0, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ5_1Avx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q5_1, SimdAvx512, TilesAvx512>(task);
}
void MultiplyQ8_0Avx512(const MultiplyTask& task) {
  MultiplyR16<kR16Q8_0, SimdAvx512, TilesAvx512>(task);
}
void MultiplyIQ4_NLAvx512(const MultiplyTask& task) {
  MultiplyR16<kR16IQ4_NL, SimdAvx512, TilesAvx512>(task);
}
void MultiplyMXFP4Avx512(const MultiplyTask& task) {
  MultiplyR16<kR16MXFP4, SimdAvx512, TilesAvx512>(task);
}

}  // namespace puna::backend::cpu
