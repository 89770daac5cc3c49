// int8 kernels for the types whose levels are points of a grid.
#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/simd_i8mm.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16IQ1_S, SimdDotprod, TilesI8mm>("iq1_s i8mm"),
    R16Row<kR16IQ1_M, SimdDotprod, TilesI8mm>("iq1_m i8mm"),
    R16Row<kR16IQ2_XXS, SimdDotprod, TilesI8mm>("iq2_xxs i8mm"),
    R16Row<kR16IQ2_XS, SimdDotprod, TilesI8mm>("iq2_xs i8mm"),
    R16Row<kR16IQ2_S, SimdDotprod, TilesI8mm>("iq2_s i8mm"),
    R16Row<kR16IQ3_XXS, SimdDotprod, TilesI8mm>("iq3_xxs i8mm"),
    R16Row<kR16IQ3_S, SimdDotprod, TilesI8mm>("iq3_s i8mm"),
};

}  // namespace

const TypeList kGridI8mm = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
