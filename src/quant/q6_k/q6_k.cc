// Each half of a block (128 values) is four groups of 32. The low nibbles of groups 0 and 1 fill
// the low nibbles of 64 bytes, those of groups 2 and 3 their high nibbles; the high bits of group g
// are bits 2 g of 32 bytes.
#include "quant/q6_k/q6_k.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ6_K& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 16; ++sub) {
    const float scale = d * static_cast<float>(block.scales[sub]);
    const int group = sub % 8 / 2;  // of 32 values in this half of the block
    const uint8_t* ql = block.ql + sub / 8 * 64 + group % 2 * 32 + sub % 2 * 16;
    const uint8_t* qh = block.qh + sub / 8 * 32 + sub % 2 * 16;
    const int shift = group / 2 * 4;
    for (int j = 0; j < 16; ++j) {
      const int q = (ql[j] >> shift & 15) | (qh[j] >> (2 * group) & 3) << 4;
      out[16 * sub + j] = scale * static_cast<float>(q - 32);
    }
  }
}

// Levels 0 to 63, packed as described above.
void Pack(const uint8_t (&levels)[256], BlockQ6_K* block) {
  for (int i = 0; i < 64; ++i) {
    const int half = i / 32 * 128;
    const uint8_t* at = levels + half + i % 32;
    block->ql[half / 2 + i % 32] = static_cast<uint8_t>((at[0] & 15) | (at[64] & 15) << 4);
    block->ql[half / 2 + i % 32 + 32] = static_cast<uint8_t>((at[32] & 15) | (at[96] & 15) << 4);
    block->qh[i] =
        static_cast<uint8_t>(at[0] >> 4 | at[32] >> 4 << 2 | at[64] >> 4 << 4 | at[96] >> 4 << 6);
  }
}

void Encode(const float* x, const float* importance, BlockQ6_K* block) {
  float weights[256], scales[16], scale_weights[16];
  ErrorWeights(x, 256, importance, weights);
  for (int sub = 0; sub < 16; ++sub) {
    scales[sub] = FitScale(x + 16 * sub, weights + 16 * sub, 16, -32, 31);
    scale_weights[sub] = SumOf(weights + 16 * sub, 16);
  }
  int scale_levels[16];
  const float d = QuantizeScales(scales, scale_weights, 16, -128, 127, block->d, scale_levels);
  uint8_t levels[256];
  for (int sub = 0; sub < 16; ++sub) {
    block->scales[sub] = static_cast<int8_t>(scale_levels[sub]);
    const float inverse = InverseOf(d * static_cast<float>(scale_levels[sub]));
    for (int i = 16 * sub; i < 16 * sub + 16; ++i) {
      levels[i] = static_cast<uint8_t>(RoundLevel(x[i] * inverse, -32, 31) + 32);
    }
  }
  Pack(levels, block);
}

}  // namespace

void DecodeQ6_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ6_K, Decode>(blocks, n, out);
}

void EncodeQ6_K(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ6_K, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
