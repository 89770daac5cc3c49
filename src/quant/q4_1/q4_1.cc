#include "quant/q4_1/q4_1.h"

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

}  // namespace

void DecodeQ4_1(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ4_1, Decode>(blocks, n, out);
}

}  // namespace puna::quant
