#include "quant/q3_k/q3_k.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

// Scale i, 0 to 63: the low nibbles of scales 0..7 and 8..15 lie in the low and high nibbles of
// bytes 0..7; the two high bits of scale i lie in byte 8 + i % 4 at bit 2 * (i / 4).
int ScaleAt(const BlockQ3_K& block, int i) {
  const int low = i < 8 ? block.scales[i] & 15 : block.scales[i - 8] >> 4;
  return low | (block.scales[8 + i % 4] >> (2 * (i / 4)) & 3) << 4;
}

void Decode(const BlockQ3_K& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 16; ++sub) {
    const float scale = d * static_cast<float>(ScaleAt(block, sub) - 32);
    const uint8_t* qs = block.qs + sub / 8 * 32 + sub % 2 * 16;
    const uint8_t* hmask = block.hmask + sub % 2 * 16;
    const int shift = sub % 8 / 2 * 2;
    for (int j = 0; j < 16; ++j) {
      const int q = (qs[j] >> shift & 3) | (hmask[j] >> (sub / 2) & 1) << 2;
      out[16 * sub + j] = scale * static_cast<float>(q - 4);
    }
  }
}

void Encode(const float* x, const float* importance, BlockQ3_K* block) {
  float weights[256], scales[16], scale_weights[16];
  ErrorWeights(x, 256, importance, weights);
  for (int sub = 0; sub < 16; ++sub) {
    scales[sub] = FitScale(x + 16 * sub, weights + 16 * sub, 16, -4, 3);
    scale_weights[sub] = SumOf(weights + 16 * sub, 16);
  }
  int scale_levels[16];
  const float d = QuantizeScales(scales, scale_weights, 16, -32, 31, block->d, scale_levels);
  uint8_t levels[256];
  *block = BlockQ3_K{.hmask = {}, .qs = {}, .scales = {}, .d = {block->d[0], block->d[1]}};
  for (int sub = 0; sub < 16; ++sub) {
    const int stored = scale_levels[sub] + 32;
    block->scales[sub % 8] |= static_cast<uint8_t>((stored & 15) << (sub / 8 * 4));
    block->scales[8 + sub % 4] |= static_cast<uint8_t>(stored >> 4 << (2 * (sub / 4)));
    const float inverse = InverseOf(d * static_cast<float>(scale_levels[sub]));
    for (int i = 16 * sub; i < 16 * sub + 16; ++i) {
      levels[i] = static_cast<uint8_t>(RoundLevel(x[i] * inverse, -4, 3) + 4);
      block->hmask[i % 32] |= static_cast<uint8_t>(levels[i] >> 2 << (i / 32));
    }
  }
  Pack2Bits(levels, block->qs);
}

}  // namespace

void DecodeQ3_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ3_K, Decode>(blocks, n, out);
}

void EncodeQ3_K(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ3_K, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
