// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/simd_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q4_K, SimdAvx2<false>, TilesAvx2<false>>("q4_k avx2"),
    R16Row<kR16Q6_K, SimdAvx2<false>, TilesAvx2<false>>("q6_k avx2"),
    R16Row<kR16Q5_K, SimdAvx2<false>, TilesAvx2<false>>("q5_k avx2"),
    R16Row<kR16Q2_K, SimdAvx2<false>, TilesAvx2<false>>("q2_k avx2"),
    R16Row<kR16Q3_K, SimdAvx2<false>, TilesAvx2<false>>("q3_k avx2"),
    R16Row<kR16IQ4_XS, SimdAvx2<false>, TilesAvx2<false>>("iq4_xs avx2"),
};

}  // namespace

const TypeList kKAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
