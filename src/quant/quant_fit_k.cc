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
