// int8 kernels for the types with one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q8_0, SimdAvx512, TilesAvx512>("q8_0 avx512vnni"),
    R16Row<kR16Q4_0, SimdAvx512, TilesAvx512>("q4_0 avx512vnni"),
    R16Row<kR16Q4_1, SimdAvx512, TilesAvx512>("q4_1 avx512vnni"),
    R16Row<kR16Q5_0, SimdAvx512, TilesAvx512>("q5_0 avx512vnni"),
    R16Row<kR16Q5_1, SimdAvx512, TilesAvx512>("q5_1 avx512vnni"),
    R16Row<kR16IQ4_NL, SimdAvx512, TilesAvx512>("iq4_nl avx512vnni"),
    R16Row<kR16MXFP4, SimdAvx512, TilesAvx512>("mxfp4 avx512vnni"),
};

}  // namespace

const TypeList kLegacyAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
