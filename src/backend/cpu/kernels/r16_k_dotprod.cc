// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_neon.h"
#include "backend/cpu/kernels/simd_dotprod.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q4_K, SimdDotprod, TilesDotprod>("q4_k dotprod"),
    R16Row<kR16Q6_K, SimdDotprod, TilesDotprod>("q6_k dotprod"),
    R16Row<kR16Q5_K, SimdDotprod, TilesDotprod>("q5_k dotprod"),
    R16Row<kR16Q2_K, SimdDotprod, TilesDotprod>("q2_k dotprod"),
    R16Row<kR16Q3_K, SimdDotprod, TilesDotprod>("q3_k dotprod"),
    R16Row<kR16IQ4_XS, SimdDotprod, TilesDotprod>("iq4_xs dotprod"),
    R16Row<kR16TQ1_0, SimdDotprod, TilesDotprod>("tq1_0 dotprod"),
    R16Row<kR16TQ2_0, SimdDotprod, TilesDotprod>("tq2_0 dotprod"),
};

}  // namespace

const TypeList kKDotprod = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
