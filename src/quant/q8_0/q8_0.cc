#include "quant/q8_0/q8_0.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ8_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(block.qs[j]) * d;
}

}  // namespace

void DecodeQ8_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ8_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
