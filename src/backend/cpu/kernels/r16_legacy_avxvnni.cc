// int8 kernels for the types whose inputs have one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/stream_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    Avx2Row<kR16Q8_0, true>("q8_0 avxvnni"),   Avx2Row<kR16Q4_0, true>("q4_0 avxvnni"),
    Avx2Row<kR16Q4_1, true>("q4_1 avxvnni"),   Avx2Row<kR16Q5_0, true>("q5_0 avxvnni"),
    Avx2Row<kR16Q5_1, true>("q5_1 avxvnni"),   Avx2Row<kR16IQ4_NL, true>("iq4_nl avxvnni"),
    Avx2Row<kR16MXFP4, true>("mxfp4 avxvnni"), Avx2Row<kR16NVFP4, true>("nvfp4 avxvnni"),
    Avx2Row<kR16Q1_0, true>("q1_0 avxvnni"),   Avx2Row<kR16Q2_0, true>("q2_0 avxvnni"),
};

}  // namespace

const TypeList kLegacyAvxvnni = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
