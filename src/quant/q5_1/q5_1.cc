#include "quant/q5_1/q5_1.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ5_1& block, float* out) {
  const float d = LoadHalf(block.d);
  const float m = LoadHalf(block.m);
  const uint32_t high = LoadU32(block.qh);
  for (int j = 0; j < 16; ++j) {
    const int q0 = (block.qs[j] & 15) | static_cast<int>(high >> j & 1) << 4;
    const int q1 = (block.qs[j] >> 4) | static_cast<int>(high >> (j + 16) & 1) << 4;
    out[j] = static_cast<float>(q0) * d + m;
    out[j + 16] = static_cast<float>(q1) * d + m;
  }
}

void Encode(const float* x, const float* importance, BlockQ5_1* block) {
  float weights[32];
  ErrorWeights(x, 32, importance, weights);
  const ScaleAndOffset fit = FitScaleAndOffset(x, weights, 32, 31, OffsetSign::kAny);
  const float inverse = InverseOf(StoreHalf(fit.scale, block->d));
  const float m = StoreHalf(fit.offset, block->m);
  uint32_t high = 0;
  for (int j = 0; j < 16; ++j) {
    const int q0 = RoundLevel((x[j] - m) * inverse, 31);
    const int q1 = RoundLevel((x[j + 16] - m) * inverse, 31);
    block->qs[j] = static_cast<uint8_t>((q0 & 15) | (q1 & 15) << 4);
    high |= static_cast<uint32_t>(q0 >> 4) << j | static_cast<uint32_t>(q1 >> 4) << (j + 16);
  }
  StoreU32(high, block->qh);
}

}  // namespace

void DecodeQ5_1(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ5_1, Decode>(blocks, n, out);
}

void EncodeQ5_1(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ5_1, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
