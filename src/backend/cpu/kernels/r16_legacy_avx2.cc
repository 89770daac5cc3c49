// int8 kernels for the types with one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/simd_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q8_0, SimdAvx2<false>, TilesAvx2<false>>("q8_0 avx2"),
    R16Row<kR16Q4_0, SimdAvx2<false>, TilesAvx2<false>>("q4_0 avx2"),
    R16Row<kR16Q4_1, SimdAvx2<false>, TilesAvx2<false>>("q4_1 avx2"),
    R16Row<kR16Q5_0, SimdAvx2<false>, TilesAvx2<false>>("q5_0 avx2"),
    R16Row<kR16Q5_1, SimdAvx2<false>, TilesAvx2<false>>("q5_1 avx2"),
    R16Row<kR16IQ4_NL, SimdAvx2<false>, TilesAvx2<false>>("iq4_nl avx2"),
    R16Row<kR16MXFP4, SimdAvx2<false>, TilesAvx2<false>>("mxfp4 avx2"),
};

}  // namespace

const TypeList kLegacyAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
