// int8 kernels for the types whose levels are points of a grid.
#include "backend/cpu/kernels/r16_grid_avx2.h"
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/simd_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16IQ1_S, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq1_s avx2"),
    R16Row<kR16IQ1_M, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq1_m avx2"),
    R16Row<kR16IQ2_XXS, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq2_xxs avx2"),
    R16Row<kR16IQ2_XS, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq2_xs avx2"),
    R16Row<kR16IQ2_S, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq2_s avx2"),
    R16Row<kR16IQ3_XXS, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq3_xxs avx2"),
    R16Row<kR16IQ3_S, WithGridAvx2<SimdAvx2<false>>, TilesAvx2<false>>("iq3_s avx2"),
};

}  // namespace

const TypeList kGridAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
