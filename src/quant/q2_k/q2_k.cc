#include "quant/q2_k/q2_k.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ2_K& block, float* out) {
  const float d = LoadHalf(block.d);
  const float dmin = LoadHalf(block.dmin);
  for (int sub = 0; sub < 16; ++sub) {
    const float scale = d * static_cast<float>(block.scales[sub] & 15);
    const float min = dmin * static_cast<float>(block.scales[sub] >> 4);
    const uint8_t* qs = block.qs + sub / 8 * 32 + sub % 2 * 16;
    const int shift = sub % 8 / 2 * 2;
    for (int j = 0; j < 16; ++j)
      out[16 * sub + j] = scale * static_cast<float>(qs[j] >> shift & 3) - min;
  }
}

}  // namespace

void DecodeQ2_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ2_K, Decode>(blocks, n, out);
}

}  // namespace puna::quant
