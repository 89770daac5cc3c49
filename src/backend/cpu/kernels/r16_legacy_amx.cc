// int8 kernels for the types whose inputs have one scale per 32 columns.
#include "backend/cpu/kernels/kernels_amx.h"
#include "backend/cpu/kernels/simd_amx.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q8_0>("q8_0 amx", &MultiplyAmx<kR16Q8_0, AmxBlockKernel>),
    R16Row<kR16Q4_0>("q4_0 amx", &MultiplyAmx<kR16Q4_0, AmxBlockKernel>),
    R16Row<kR16Q4_1>("q4_1 amx", &MultiplyAmx<kR16Q4_1, AmxBlockKernel>),
    R16Row<kR16Q5_0>("q5_0 amx", &MultiplyAmx<kR16Q5_0, AmxBlockKernel>),
    R16Row<kR16Q5_1>("q5_1 amx", &MultiplyAmx<kR16Q5_1, AmxBlockKernel>),
    R16Row<kR16IQ4_NL>("iq4_nl amx", &MultiplyAmx<kR16IQ4_NL, AmxBlockKernel>),
    R16Row<kR16MXFP4>("mxfp4 amx", &MultiplyAmx<kR16MXFP4, AmxBlockKernel>),
    R16Row<kR16Q1_0>("q1_0 amx", &MultiplyAmx<kR16Q1_0, AmxBlockKernel>),
    R16Row<kR16Q2_0>("q2_0 amx", &MultiplyAmx<kR16Q2_0, AmxBlockKernel>),
};

}  // namespace

const TypeList kLegacyAmx = {kRows, sizeof(kRows) / sizeof(kRows[0])};

}  // namespace puna::backend::cpu
