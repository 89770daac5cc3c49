#include "quant/tq2_0/tq2_0.h"

namespace puna::quant {
namespace {

void Decode(const BlockTQ2_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 256; ++j) {
    const int q = block.qs[j / 128 * 32 + j % 32] >> (j % 128 / 32 * 2) & 3;
    out[j] = static_cast<float>(q - 1) * d;
  }
}

}  // namespace

void DecodeTQ2_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockTQ2_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
