#include "quant/q2_0/q2_0.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ2_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 64; ++j) {
    out[j] = static_cast<float>((block.qs[j / 4] >> (j % 4 * 2) & 3) - 1) * d;
  }
}

}  // namespace

void DecodeQ2_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ2_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
