#include "quant/q2_k/q2_k.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ2_K& block, float* out) {
  const float d = LoadHalf(block.d);
  const float dmin = LoadHalf(block.dmin);
  for (int sub = 0; sub < 16; ++sub) {
    const float scale = d * static_cast<float>(block.scales[sub] & 15);
    const float min = dmin * static_cast<float>(block.scales[sub] >> 4);
    const uint8_t* qs = block.qs + sub / 8 * 32 + sub % 2 * 16;
    const int shift = sub % 8 / 2 * 2;
    for (int j = 0; j < 16; ++j)
      out[16 * sub + j] = scale * static_cast<float>(qs[j] >> shift & 3) - min;
  }
}

void Encode(const float* x, const float* importance, BlockQ2_K* block) {
  float weights[256], scales[16], mins[16], scale_weights[16];
  ErrorWeights(x, 256, importance, weights);
  for (int sub = 0; sub < 16; ++sub) {
    const ScaleAndOffset fit =
        FitScaleAndOffset(x + 16 * sub, weights + 16 * sub, 16, 3, OffsetSign::kNotPositive);
    scales[sub] = fit.scale;
    mins[sub] = -fit.offset;
    scale_weights[sub] = SumOf(weights + 16 * sub, 16);
  }
  int scale_levels[16], min_levels[16];
  const float d = QuantizeScales(scales, scale_weights, 16, 0, 15, block->d, scale_levels);
  const float dmin = QuantizeScales(mins, scale_weights, 16, 0, 15, block->dmin, min_levels);
  uint8_t levels[256];
  for (int sub = 0; sub < 16; ++sub) {
    ChooseBestPair(x + 16 * sub, weights + 16 * sub, 16, d, dmin, 15, 3, &scale_levels[sub],
                   &min_levels[sub]);
    block->scales[sub] = static_cast<uint8_t>(scale_levels[sub] | min_levels[sub] << 4);
    const float inverse = InverseOf(d * static_cast<float>(scale_levels[sub]));
    const float min = dmin * static_cast<float>(min_levels[sub]);
    for (int i = 16 * sub; i < 16 * sub + 16; ++i) {
      levels[i] = static_cast<uint8_t>(RoundLevel((x[i] + min) * inverse, 3));
    }
  }
  Pack2Bits(levels, block->qs);
}

}  // namespace

void DecodeQ2_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ2_K, Decode>(blocks, n, out);
}

void EncodeQ2_K(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ2_K, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
