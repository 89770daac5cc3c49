// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    Avx512Row<kR16Q4_K>("q4_k avx512vnni"),   Avx512Row<kR16Q6_K>("q6_k avx512vnni"),
    Avx512Row<kR16Q5_K>("q5_k avx512vnni"),   Avx512Row<kR16Q2_K>("q2_k avx512vnni"),
    Avx512Row<kR16Q3_K>("q3_k avx512vnni"),   Avx512Row<kR16IQ4_XS>("iq4_xs avx512vnni"),
    Avx512Row<kR16TQ1_0>("tq1_0 avx512vnni"), Avx512Row<kR16TQ2_0>("tq2_0 avx512vnni"),
};

}  // namespace

const TypeList kKAvx512 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
