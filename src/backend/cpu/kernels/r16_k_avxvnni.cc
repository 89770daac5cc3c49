// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/stream_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    Avx2Row<kR16Q4_K, true>("q4_k avxvnni"),   Avx2Row<kR16Q6_K, true>("q6_k avxvnni"),
    Avx2Row<kR16Q5_K, true>("q5_k avxvnni"),   Avx2Row<kR16Q2_K, true>("q2_k avxvnni"),
    Avx2Row<kR16Q3_K, true>("q3_k avxvnni"),   Avx2Row<kR16IQ4_XS, true>("iq4_xs avxvnni"),
    Avx2Row<kR16TQ1_0, true>("tq1_0 avxvnni"), Avx2Row<kR16TQ2_0, true>("tq2_0 avxvnni"),
};

}  // namespace

const TypeList kKAvxvnni = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
