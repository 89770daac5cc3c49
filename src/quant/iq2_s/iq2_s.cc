#include "quant/iq2_s/iq2_s.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ2_S& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int group = 0; group < 32; ++group, out += 8) {
    const int scale_bits = block.scales[group / 4] >> (group % 4 / 2 * 4) & 15;
    const float scale = d * (0.5f + static_cast<float>(scale_bits)) * 0.25f;
    const int index = block.qs[group] | (block.qh[group / 4] >> (group % 4 * 2) & 3) << 8;
    for (int j = 0; j < 8; ++j)
      out[j] = scale * Iq2Value(kIq2SGrid[index], j) * SignAt(block.signs[group], j);
  }
}

}  // namespace

void DecodeIQ2_S(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ2_S, Decode>(blocks, n, out);
}

}  // namespace puna::quant
