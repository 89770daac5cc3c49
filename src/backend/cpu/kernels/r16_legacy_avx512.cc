// int8 kernels for the types whose inputs have one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    Avx512Row<kR16Q8_0>("q8_0 avx512vnni"),   Avx512Row<kR16Q4_0>("q4_0 avx512vnni"),
    Avx512Row<kR16Q4_1>("q4_1 avx512vnni"),   Avx512Row<kR16Q5_0>("q5_0 avx512vnni"),
    Avx512Row<kR16Q5_1>("q5_1 avx512vnni"),   Avx512Row<kR16IQ4_NL>("iq4_nl avx512vnni"),
    Avx512Row<kR16MXFP4>("mxfp4 avx512vnni"), Avx512Row<kR16NVFP4>("nvfp4 avx512vnni"),
    Avx512Row<kR16Q1_0>("q1_0 avx512vnni"),   Avx512Row<kR16Q2_0>("q2_0 avx512vnni"),
};

}  // namespace

const TypeList kLegacyAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
