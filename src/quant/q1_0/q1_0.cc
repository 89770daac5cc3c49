#include "quant/q1_0/q1_0.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ1_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 128; ++j) out[j] = (block.qs[j / 8] >> (j % 8) & 1) != 0 ? d : -d;
}

}  // namespace

void DecodeQ1_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ1_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
