#include "quant/iq2_xs/iq2_xs.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ2_XS& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int group = 0; group < 32; ++group, out += 8) {
    const int scale_bits = block.scales[group / 4] >> (group % 4 / 2 * 4) & 15;
    const float scale = d * (0.5f + static_cast<float>(scale_bits)) * 0.25f;
    const uint16_t word = LoadU16(block.qs + 2 * group);
    const unsigned signs = EvenSigns(word >> 9);
    for (int j = 0; j < 8; ++j)
      out[j] = scale * Iq2Value(kIq2XsGrid[word & 511], j) * SignAt(signs, j);
  }
}

}  // namespace

void DecodeIQ2_XS(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ2_XS, Decode>(blocks, n, out);
}

}  // namespace puna::quant
