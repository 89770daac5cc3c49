// int8 kernels for the types whose levels are points of a grid.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/r16_grid_avx2.h"
#include "backend/cpu/kernels/simd_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16IQ1_S, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq1_s avxvnni"),
    R16Row<kR16IQ1_M, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq1_m avxvnni"),
    R16Row<kR16IQ2_XXS, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq2_xxs avxvnni"),
    R16Row<kR16IQ2_XS, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq2_xs avxvnni"),
    R16Row<kR16IQ2_S, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq2_s avxvnni"),
    R16Row<kR16IQ3_XXS, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq3_xxs avxvnni"),
    R16Row<kR16IQ3_S, WithGridAvx2<SimdAvx2<true>>, TilesAvx2<true>>("iq3_s avxvnni"),
};

}  // namespace

const TypeList kGridAvxvnni = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
