// int8 kernels for the types whose levels are points of a grid.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/r16_grid_avx2.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16IQ1_S, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq1_s avx512vnni"),
    R16Row<kR16IQ1_M, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq1_m avx512vnni"),
    R16Row<kR16IQ2_XXS, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq2_xxs avx512vnni"),
    R16Row<kR16IQ2_XS, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq2_xs avx512vnni"),
    R16Row<kR16IQ2_S, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq2_s avx512vnni"),
    R16Row<kR16IQ3_XXS, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq3_xxs avx512vnni"),
    R16Row<kR16IQ3_S, WithGridAvx2<SimdAvx512>, TilesAvx512>("iq3_s avx512vnni"),
};

}  // namespace

const TypeList kGridAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
