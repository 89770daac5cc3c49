// int8 kernels for the types whose inputs have one scale per 32 columns.
#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/simd_i8mm.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q8_0, SimdDotprod, TilesI8mm>("q8_0 i8mm"),
    R16Row<kR16Q4_0, SimdDotprod, TilesI8mm>("q4_0 i8mm"),
    R16Row<kR16Q4_1, SimdDotprod, TilesI8mm>("q4_1 i8mm"),
    R16Row<kR16Q5_0, SimdDotprod, TilesI8mm>("q5_0 i8mm"),
    R16Row<kR16Q5_1, SimdDotprod, TilesI8mm>("q5_1 i8mm"),
    R16Row<kR16IQ4_NL, SimdDotprod, TilesI8mm>("iq4_nl i8mm"),
    R16Row<kR16MXFP4, SimdDotprod, TilesI8mm>("mxfp4 i8mm"),
    R16Row<kR16NVFP4, SimdDotprod, TilesI8mm>("nvfp4 i8mm"),
    R16Row<kR16Q1_0, SimdDotprod, TilesI8mm>("q1_0 i8mm"),
    R16Row<kR16Q2_0, SimdDotprod, TilesI8mm>("q2_0 i8mm"),
};

}  // namespace

const TypeList kLegacyI8mm = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
