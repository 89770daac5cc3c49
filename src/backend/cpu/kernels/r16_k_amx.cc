// int8 kernels for the types with blocks of 256 columns.
#include "backend/cpu/kernels/kernels_amx.h"
#include "backend/cpu/kernels/simd_amx.h"

namespace puna::backend::cpu {
namespace {

constexpr TypeKernels kRows[] = {
    R16Row<kR16Q4_K>("q4_k amx", &MultiplyAmx<kR16Q4_K, AmxDigitsKernel>),
    R16Row<kR16Q6_K>("q6_k amx", &MultiplyAmx<kR16Q6_K, AmxDigitsKernel>),
    R16Row<kR16Q5_K>("q5_k amx", &MultiplyAmx<kR16Q5_K, AmxDigitsKernel>),
    R16Row<kR16Q2_K>("q2_k amx", &MultiplyAmx<kR16Q2_K, AmxDigitsKernel>),
    R16Row<kR16Q3_K>("q3_k amx", &MultiplyAmx<kR16Q3_K, AmxDigitsKernel>),
    R16Row<kR16IQ4_XS>("iq4_xs amx", &MultiplyAmx<kR16IQ4_XS, AmxDigitsKernel>),
    R16Row<kR16TQ1_0>("tq1_0 amx", &MultiplyAmx<kR16TQ1_0, AmxDigitsKernel>),
    R16Row<kR16TQ2_0>("tq2_0 amx", &MultiplyAmx<kR16TQ2_0, AmxDigitsKernel>),
};

}  // namespace

const TypeList kKAmx = {kRows, sizeof(kRows) / sizeof(kRows[0])};

int64_t SpinTileDots(int64_t rounds) {
  constexpr int kSums = 4;
  const TileScope tiles(64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbsud(0, 4, 5);
    _tile_dpbsud(1, 4, 5);
    _tile_dpbsud(2, 4, 5);
    _tile_dpbsud(3, 4, 5);
  }
  return rounds * kSums * kTileTokens * kGroupRows * 64;
}

}  // namespace puna::backend::cpu
