// A byte holds five ternary digits as a fixed-point fraction: byte = ceil(256 / 243 * digits read
// as a base 3 number), so that multiplying by 3 moves the next digit above the binary point. Digit
// n is the top of 3 * (byte * 3^n mod 256).
#include "quant/tq1_0/tq1_0.h"

namespace puna::quant {
namespace {

// Digit `n` of a byte.
int DigitAt(uint8_t byte, int n) {
  static constexpr uint8_t kPower3[] = {1, 3, 9, 27, 81};
  const auto fraction = static_cast<uint8_t>(byte * kPower3[n]);
  return fraction * 3 >> 8;
}

// Decodes `bytes` bytes of `digits` digits: first the first digits of all bytes, then the second
// ones, and so on.
float* DecodeRun(const uint8_t* packed, int bytes, int digits, float d, float* out) {
  for (int n = 0; n < digits; ++n) {
    for (int j = 0; j < bytes; ++j) *out++ = static_cast<float>(DigitAt(packed[j], n) - 1) * d;
  }
  return out;
}

void Decode(const BlockTQ1_0& block, float* out) {
  const float d = LoadHalf(block.d);
  out = DecodeRun(block.qs, 32, 5, d, out);
  out = DecodeRun(block.qs + 32, 16, 5, d, out);
  DecodeRun(block.qh, 4, 4, d, out);
}

}  // namespace

void DecodeTQ1_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockTQ1_0, Decode>(blocks, n, out);
}

}  // namespace puna::quant
