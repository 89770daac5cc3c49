#include "quant/iq4_nl/iq4_nl.h"

#include "quant/quant_fit.h"
#include "quant/quant_levels.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ4_NL& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * kIq4Levels[block.qs[j] & 15];
    out[j + 16] = d * kIq4Levels[block.qs[j] >> 4];
  }
}

void Encode(const float* x, const float* importance, BlockIQ4_NL* block) {
  float weights[32];
  ErrorWeights(x, 32, importance, weights);
  const float inverse = InverseOf(StoreHalf(FitIq4Scale(x, weights, 32), block->d));
  for (int j = 0; j < 16; ++j) {
    block->qs[j] =
        static_cast<uint8_t>(NearestIq4(x[j] * inverse) | NearestIq4(x[j + 16] * inverse) << 4);
  }
}

}  // namespace

void DecodeIQ4_NL(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ4_NL, Decode>(blocks, n, out);
}

void EncodeIQ4_NL(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockIQ4_NL, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
