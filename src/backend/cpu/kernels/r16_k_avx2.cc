// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/stream_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    Avx2Row<kR16Q4_K, false>("q4_k avx2"),   Avx2Row<kR16Q6_K, false>("q6_k avx2"),
    Avx2Row<kR16Q5_K, false>("q5_k avx2"),   Avx2Row<kR16Q2_K, false>("q2_k avx2"),
    Avx2Row<kR16Q3_K, false>("q3_k avx2"),   Avx2Row<kR16IQ4_XS, false>("iq4_xs avx2"),
    Avx2Row<kR16TQ1_0, false>("tq1_0 avx2"), Avx2Row<kR16TQ2_0, false>("tq2_0 avx2"),
};

}  // namespace

const TypeList kKAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
