// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q4_K, SimdAvx512, TilesAvx512>("q4_k avx512vnni"),
    R16Row<kR16Q6_K, SimdAvx512, TilesAvx512>("q6_k avx512vnni"),
    R16Row<kR16Q5_K, SimdAvx512, TilesAvx512>("q5_k avx512vnni"),
    R16Row<kR16Q2_K, SimdAvx512, TilesAvx512>("q2_k avx512vnni"),
    R16Row<kR16Q3_K, SimdAvx512, TilesAvx512>("q3_k avx512vnni"),
    R16Row<kR16IQ4_XS, SimdAvx512, TilesAvx512>("iq4_xs avx512vnni"),
};

}  // namespace

const TypeList kKAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
