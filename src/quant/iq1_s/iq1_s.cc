#include "quant/iq1_s/iq1_s.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ1_S& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 8; ++sub) {
    const unsigned high = LoadU16(block.qh + 2 * sub);
    const float scale = d * static_cast<float>(2 * (high >> 12 & 7) + 1);
    const float shift = (high & 0x8000) != 0 ? -kIq1Shift : kIq1Shift;
    for (int group = 0; group < 4; ++group, out += 8) {
      const unsigned index = block.qs[4 * sub + group] | (high >> (3 * group) & 7) << 8;
      for (int j = 0; j < 8; ++j) out[j] = scale * (Iq1Value(kIq1Grid[index], j) + shift);
    }
  }
}

}  // namespace

void DecodeIQ1_S(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ1_S, Decode>(blocks, n, out);
}

}  // namespace puna::quant
