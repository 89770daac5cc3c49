#include "quant/q5_k/q5_k.h"

#include "quant/quant_fit.h"
#include "quant/quant_k_scales.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ5_K& block, float* out) {
  const float d = LoadHalf(block.d);
  const float dmin = LoadHalf(block.dmin);
  const KScales scales = UnpackKScales(block.scales);
  for (int sub = 0; sub < 8; ++sub) {
    const float scale = d * static_cast<float>(scales.scale[sub]);
    const float min = dmin * static_cast<float>(scales.min[sub]);
    const uint8_t* qs = block.qs + sub / 2 * 32;
    const int shift = sub % 2 * 4;
    for (int j = 0; j < 32; ++j) {
      const int q = (qs[j] >> shift & 15) | (block.qh[j] >> sub & 1) << 4;
      out[32 * sub + j] = scale * static_cast<float>(q) - min;
    }
  }
}

void Encode(const float* x, const float* importance, BlockQ5_K* block) {
  uint8_t levels[256];
  EncodeKBlock(x, importance, 31, block->d, block->dmin, block->scales, levels);
  PackNibbles(levels, block->qs);
  for (int j = 0; j < 32; ++j) {
    block->qh[j] = 0;
    for (int g = 0; g < 8; ++g) block->qh[j] |= static_cast<uint8_t>(levels[j + 32 * g] >> 4 << g);
  }
}

}  // namespace

void DecodeQ5_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ5_K, Decode>(blocks, n, out);
}

void EncodeQ5_K(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ5_K, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
