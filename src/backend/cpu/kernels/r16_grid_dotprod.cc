// int8 kernels for the types whose levels are points of a grid.
#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/simd_dotprod.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16IQ1_S, SimdDotprod, TilesDotprod>("iq1_s dotprod"),
    R16Row<kR16IQ1_M, SimdDotprod, TilesDotprod>("iq1_m dotprod"),
    R16Row<kR16IQ2_XXS, SimdDotprod, TilesDotprod>("iq2_xxs dotprod"),
    R16Row<kR16IQ2_XS, SimdDotprod, TilesDotprod>("iq2_xs dotprod"),
    R16Row<kR16IQ2_S, SimdDotprod, TilesDotprod>("iq2_s dotprod"),
    R16Row<kR16IQ3_XXS, SimdDotprod, TilesDotprod>("iq3_xxs dotprod"),
    R16Row<kR16IQ3_S, SimdDotprod, TilesDotprod>("iq3_s dotprod"),
};

}  // namespace

const TypeList kGridDotprod = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
