#include "quant/q4_0/q4_0.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ4_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

}  // namespace

void DecodeQ4_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ4_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
