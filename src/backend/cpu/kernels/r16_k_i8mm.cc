// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/simd_i8mm.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q4_K, SimdDotprod, TilesI8mm>("q4_k i8mm"),
    R16Row<kR16Q6_K, SimdDotprod, TilesI8mm>("q6_k i8mm"),
    R16Row<kR16Q5_K, SimdDotprod, TilesI8mm>("q5_k i8mm"),
    R16Row<kR16Q2_K, SimdDotprod, TilesI8mm>("q2_k i8mm"),
    R16Row<kR16Q3_K, SimdDotprod, TilesI8mm>("q3_k i8mm"),
    R16Row<kR16IQ4_XS, SimdDotprod, TilesI8mm>("iq4_xs i8mm"),
    R16Row<kR16TQ1_0, SimdDotprod, TilesI8mm>("tq1_0 i8mm"),
    R16Row<kR16TQ2_0, SimdDotprod, TilesI8mm>("tq2_0 i8mm"),
};

}  // namespace

const TypeList kKI8mm = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
