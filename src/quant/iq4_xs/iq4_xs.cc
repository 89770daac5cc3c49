#include "quant/iq4_xs/iq4_xs.h"

#include "quant/quant_fit.h"
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

void Encode(const float* x, const float* importance, BlockIQ4_XS* block) {
  float weights[256], scales[8], scale_weights[8];
  ErrorWeights(x, 256, importance, weights);
  for (int sub = 0; sub < 8; ++sub) {
    scales[sub] = FitIq4Scale(x + 32 * sub, weights + 32 * sub, 32);
    scale_weights[sub] = SumOf(weights + 32 * sub, 32);
  }
  int scale_levels[8];
  const float d = QuantizeScales(scales, scale_weights, 8, -32, 31, block->d, scale_levels);
  unsigned high = 0;
  for (int sub = 0; sub < 8; ++sub) {
    const unsigned stored = static_cast<unsigned>(scale_levels[sub] + 32);
    high |= stored >> 4 << (2 * sub);
    if (sub % 2 == 0) block->scales_l[sub / 2] = 0;
    block->scales_l[sub / 2] |= static_cast<uint8_t>((stored & 15) << (sub % 2 * 4));
    const float inverse = InverseOf(d * static_cast<float>(scale_levels[sub]));
    for (int j = 0; j < 16; ++j) {
      const float* at = x + 32 * sub + j;
      block->qs[16 * sub + j] =
          static_cast<uint8_t>(NearestIq4(at[0] * inverse) | NearestIq4(at[16] * inverse) << 4);
    }
  }
  StoreU16(static_cast<uint16_t>(high), block->scales_h);
}

}  // namespace

void DecodeIQ4_XS(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ4_XS, Decode>(blocks, n, out);
}

void EncodeIQ4_XS(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockIQ4_XS, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
