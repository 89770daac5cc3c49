#include "quant/q4_k/q4_k.h"

#include "quant/quant_fit.h"
#include "quant/quant_k_scales.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ4_K& block, float* out) {
  const float d = LoadHalf(block.d);
  const float dmin = LoadHalf(block.dmin);
  const KScales scales = UnpackKScales(block.scales);
  for (int sub = 0; sub < 8; ++sub) {
    const float scale = d * static_cast<float>(scales.scale[sub]);
    const float min = dmin * static_cast<float>(scales.min[sub]);
    const uint8_t* qs = block.qs + sub / 2 * 32;
    const int shift = sub % 2 * 4;
    for (int j = 0; j < 32; ++j)
      out[32 * sub + j] = scale * static_cast<float>(qs[j] >> shift & 15) - min;
  }
}

void Encode(const float* x, const float* importance, BlockQ4_K* block) {
  uint8_t levels[256];
  EncodeKBlock(x, importance, 15, block->d, block->dmin, block->scales, levels);
  PackNibbles(levels, block->qs);
}

}  // namespace

void DecodeQ4_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ4_K, Decode>(blocks, n, out);
}

void EncodeQ4_K(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ4_K, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
