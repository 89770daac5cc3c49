#include "quant/q4_1/q4_1.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ4_1& block, float* out) {
  const float d = LoadHalf(block.d);
  const float m = LoadHalf(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(block.qs[j] & 15) * d + m;
    out[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
  }
}

void Encode(const float* x, const float* importance, BlockQ4_1* block) {
  float weights[32];
  ErrorWeights(x, 32, importance, weights);
  const ScaleAndOffset fit = FitScaleAndOffset(x, weights, 32, 15, OffsetSign::kAny);
  const float inverse = InverseOf(StoreHalf(fit.scale, block->d));
  const float m = StoreHalf(fit.offset, block->m);
  for (int j = 0; j < 16; ++j) {
    const int q0 = RoundLevel((x[j] - m) * inverse, 15);
    const int q1 = RoundLevel((x[j + 16] - m) * inverse, 15);
    block->qs[j] = static_cast<uint8_t>(q0 | q1 << 4);
  }
}

}  // namespace

void DecodeQ4_1(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ4_1, Decode>(blocks, n, out);
}

void EncodeQ4_1(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ4_1, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
