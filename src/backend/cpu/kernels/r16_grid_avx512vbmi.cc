// int8 kernels for the types whose levels are points of a grid.
#include "backend/cpu/kernels/r16_grid_avx512vbmi.h"
#include "backend/cpu/kernels/cpu_features.h"
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

struct SimdVbmi : SimdAvx512 {
  template <const R16Format& format, int bias>
  static void GridLevels(const uint8_t* points, const uint8_t* scales, uint8_t (*out)[64]) {
    GridUnpacker<format, bias>(points, scales).Run(out);
  }
};

constexpr TypeKernels kRows[] = {
    R16Row<kR16IQ1_S, SimdVbmi, TilesAvx512>("iq1_s avx512vbmi"),
    R16Row<kR16IQ1_M, SimdVbmi, TilesAvx512>("iq1_m avx512vbmi"),
    R16Row<kR16IQ2_XXS, SimdVbmi, TilesAvx512>("iq2_xxs avx512vbmi"),
    R16Row<kR16IQ2_XS, SimdVbmi, TilesAvx512>("iq2_xs avx512vbmi"),
    R16Row<kR16IQ2_S, SimdVbmi, TilesAvx512>("iq2_s avx512vbmi"),
    R16Row<kR16IQ3_XXS, SimdVbmi, TilesAvx512>("iq3_xxs avx512vbmi"),
    R16Row<kR16IQ3_S, SimdVbmi, TilesAvx512>("iq3_s avx512vbmi"),
};

bool Available() { return GetCpuFeatures().avx512_vbmi; }

}  // namespace

const TypeList kGridAvx512Vbmi = {kRows, sizeof(kRows) / sizeof(kRows[0]), &Available};

}  // namespace puna::backend::cpu
