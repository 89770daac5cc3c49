// int8 kernels for the types with one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/simd_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q8_0, SimdAvx2<true>, TilesAvx2<true>>("q8_0 avxvnni"),
    R16Row<kR16Q4_0, SimdAvx2<true>, TilesAvx2<true>>("q4_0 avxvnni"),
    R16Row<kR16Q4_1, SimdAvx2<true>, TilesAvx2<true>>("q4_1 avxvnni"),
    R16Row<kR16Q5_0, SimdAvx2<true>, TilesAvx2<true>>("q5_0 avxvnni"),
    R16Row<kR16Q5_1, SimdAvx2<true>, TilesAvx2<true>>("q5_1 avxvnni"),
    R16Row<kR16IQ4_NL, SimdAvx2<true>, TilesAvx2<true>>("iq4_nl avxvnni"),
    R16Row<kR16MXFP4, SimdAvx2<true>, TilesAvx2<true>>("mxfp4 avxvnni"),
};

}  // namespace

const TypeList kLegacyAvxvnni = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
