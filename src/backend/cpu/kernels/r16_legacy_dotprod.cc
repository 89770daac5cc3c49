// int8 kernels for the types whose inputs have one scale per 32 columns.
#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/simd_dotprod.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q8_0, SimdDotprod, TilesDotprod>("q8_0 dotprod"),
    R16Row<kR16Q4_0, SimdDotprod, TilesDotprod>("q4_0 dotprod"),
    R16Row<kR16Q4_1, SimdDotprod, TilesDotprod>("q4_1 dotprod"),
    R16Row<kR16Q5_0, SimdDotprod, TilesDotprod>("q5_0 dotprod"),
    R16Row<kR16Q5_1, SimdDotprod, TilesDotprod>("q5_1 dotprod"),
    R16Row<kR16IQ4_NL, SimdDotprod, TilesDotprod>("iq4_nl dotprod"),
    R16Row<kR16MXFP4, SimdDotprod, TilesDotprod>("mxfp4 dotprod"),
    R16Row<kR16NVFP4, SimdDotprod, TilesDotprod>("nvfp4 dotprod"),
    R16Row<kR16Q1_0, SimdDotprod, TilesDotprod>("q1_0 dotprod"),
    R16Row<kR16Q2_0, SimdDotprod, TilesDotprod>("q2_0 dotprod"),
};

}  // namespace

const TypeList kLegacyDotprod = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
