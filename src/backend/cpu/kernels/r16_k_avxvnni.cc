// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/simd_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q4_K, SimdAvx2<true>, TilesAvx2<true>>("q4_k avxvnni"),
    R16Row<kR16Q6_K, SimdAvx2<true>, TilesAvx2<true>>("q6_k avxvnni"),
    R16Row<kR16Q5_K, SimdAvx2<true>, TilesAvx2<true>>("q5_k avxvnni"),
    R16Row<kR16Q2_K, SimdAvx2<true>, TilesAvx2<true>>("q2_k avxvnni"),
    R16Row<kR16Q3_K, SimdAvx2<true>, TilesAvx2<true>>("q3_k avxvnni"),
    R16Row<kR16IQ4_XS, SimdAvx2<true>, TilesAvx2<true>>("iq4_xs avxvnni"),
};

}  // namespace

const TypeList kKAvxvnni = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
