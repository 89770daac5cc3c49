#include "quant/q5_0/q5_0.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ5_0& block, float* out) {
  const float d = LoadHalf(block.d);
  const uint32_t high = LoadU32(block.qh);
  for (int j = 0; j < 16; ++j) {
    const int q0 = (block.qs[j] & 15) | static_cast<int>(high >> j & 1) << 4;
    const int q1 = (block.qs[j] >> 4) | static_cast<int>(high >> (j + 16) & 1) << 4;
    out[j] = static_cast<float>(q0 - 16) * d;
    out[j + 16] = static_cast<float>(q1 - 16) * d;
  }
}

}  // namespace

void DecodeQ5_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ5_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
