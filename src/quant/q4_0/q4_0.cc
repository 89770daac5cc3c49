#include "quant/q4_0/q4_0.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ4_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

void Encode(const float* x, const float* importance, BlockQ4_0* block) {
  float weights[32];
  ErrorWeights(x, 32, importance, weights);
  const float inverse = InverseOf(StoreHalf(FitScale(x, weights, 32, -8, 7), block->d));
  for (int j = 0; j < 16; ++j) {
    const int q0 = RoundLevel(x[j] * inverse, -8, 7) + 8;
    const int q1 = RoundLevel(x[j + 16] * inverse, -8, 7) + 8;
    block->qs[j] = static_cast<uint8_t>(q0 | q1 << 4);
  }
}

}  // namespace

void DecodeQ4_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ4_0, Decode>(blocks, n, out);
}

void EncodeQ4_0(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ4_0, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
