// int8 kernels for the types whose inputs have one scale per 32 columns.
#include "backend/cpu/kernels/kernels_avx2.h"
#include "backend/cpu/kernels/stream_avx2.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    Avx2Row<kR16Q8_0, false>("q8_0 avx2"),   Avx2Row<kR16Q4_0, false>("q4_0 avx2"),
    Avx2Row<kR16Q4_1, false>("q4_1 avx2"),   Avx2Row<kR16Q5_0, false>("q5_0 avx2"),
    Avx2Row<kR16Q5_1, false>("q5_1 avx2"),   Avx2Row<kR16IQ4_NL, false>("iq4_nl avx2"),
    Avx2Row<kR16MXFP4, false>("mxfp4 avx2"), Avx2Row<kR16NVFP4, false>("nvfp4 avx2"),
    Avx2Row<kR16Q1_0, false>("q1_0 avx2"),   Avx2Row<kR16Q2_0, false>("q2_0 avx2"),
};

}  // namespace

const TypeList kLegacyAvx2 = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
