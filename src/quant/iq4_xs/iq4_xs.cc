#include "quant/iq4_xs/iq4_xs.h"

#include "quant/quant_levels.h"

namespace puna::quant {
namespace {

// Scale of sub-block i, stored plus 32.
int ScaleAt(const BlockIQ4_XS& block, int i) {
  const int low = block.scales_l[i / 2] >> (i % 2 * 4) & 15;
  return (low | (LoadU16(block.scales_h) >> (2 * i) & 3) << 4) - 32;
}

void Decode(const BlockIQ4_XS& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 8; ++sub, out += 32) {
    const float scale = d * static_cast<float>(ScaleAt(block, sub));
    const uint8_t* qs = block.qs + sub * 16;
    for (int j = 0; j < 16; ++j) {
      out[j] = scale * kIq4Levels[qs[j] & 15];
      out[j + 16] = scale * kIq4Levels[qs[j] >> 4];
    }
  }
}

}  // namespace

void DecodeIQ4_XS(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ4_XS, Decode>(blocks, n, out);
}

}  // namespace puna::quant
