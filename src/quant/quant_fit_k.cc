// Q4_K and Q5_K differ only in the number of levels. Each sub-block of 32 is fitted with a scale
// and a minimum of its own; the eight scales and the eight minimums are then rounded to six bits
// under a common scale each, and every rounded pair is exchanged for a neighbour where that lowers
// the error of the values.
#include "quant/quant_fit.h"
#include "quant/quant_k_scales.h"

namespace puna::quant {

void EncodeKBlock(const float* x, const float* importance, int max_level, Half& d, Half& dmin,
                  uint8_t (&packed_scales)[12], uint8_t (&levels)[256]) {
  float weights[256], scales[8], mins[8], scale_weights[8];
  ErrorWeights(x, 256, importance, weights);
  for (int sub = 0; sub < 8; ++sub) {
    const ScaleAndOffset fit = FitScaleAndOffset(x + 32 * sub, weights + 32 * sub, 32, max_level,
                                                 OffsetSign::kNotPositive);
    scales[sub] = fit.scale;
    mins[sub] = -fit.offset;
    scale_weights[sub] = SumOf(weights + 32 * sub, 32);
  }
  int scale_levels[8], min_levels[8];
  const float stored_d = QuantizeScales(scales, scale_weights, 8, 0, 63, d, scale_levels);
  const float stored_dmin = QuantizeScales(mins, scale_weights, 8, 0, 63, dmin, min_levels);
  KScales packed;
  for (int sub = 0; sub < 8; ++sub) {
    ChooseBestPair(x + 32 * sub, weights + 32 * sub, 32, stored_d, stored_dmin, 63, max_level,
                   &scale_levels[sub], &min_levels[sub]);
    packed.scale[sub] = static_cast<uint8_t>(scale_levels[sub]);
    packed.min[sub] = static_cast<uint8_t>(min_levels[sub]);
    const float inverse = InverseOf(stored_d * static_cast<float>(scale_levels[sub]));
    const float min = stored_dmin * static_cast<float>(min_levels[sub]);
    for (int i = 32 * sub; i < 32 * sub + 32; ++i) {
      levels[i] = static_cast<uint8_t>(RoundLevel((x[i] + min) * inverse, max_level));
    }
  }
  PackKScales(packed, packed_scales);
}

}  // namespace puna::quant
