#include "quant/q3_k/q3_k.h"

namespace puna::quant {
namespace {

// Scale i, 0 to 63: the low nibbles of scales 0..7 and 8..15 lie in the low and high nibbles of
// bytes 0..7; the two high bits of scale i lie in byte 8 + i % 4 at bit 2 * (i / 4).
int ScaleAt(const BlockQ3_K& block, int i) {
  const int low = i < 8 ? block.scales[i] & 15 : block.scales[i - 8] >> 4;
  return low | (block.scales[8 + i % 4] >> (2 * (i / 4)) & 3) << 4;
}

void Decode(const BlockQ3_K& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 16; ++sub) {
    const float scale = d * static_cast<float>(ScaleAt(block, sub) - 32);
    const uint8_t* qs = block.qs + sub / 8 * 32 + sub % 2 * 16;
    const uint8_t* hmask = block.hmask + sub % 2 * 16;
    const int shift = sub % 8 / 2 * 2;
    for (int j = 0; j < 16; ++j) {
      const int q = (qs[j] >> shift & 3) | (hmask[j] >> (sub / 2) & 1) << 2;
      out[16 * sub + j] = scale * static_cast<float>(q - 4);
    }
  }
}

}  // namespace

void DecodeQ3_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ3_K, Decode>(blocks, n, out);
}

}  // namespace puna::quant
