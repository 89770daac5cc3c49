// binary16 has 5 exponent bits (bias 15) and 10 of mantissa; binary32 has 8 (bias 127) and 23.
// Everything is done on the bit patterns except subnormal halves, which are whole multiples of
// 2^-24: there float arithmetic is exact (decoding) or rounds as wanted (encoding: 0.5 has a unit
// in the last place of 2^-24, so adding it rounds to that multiple, ties to even). Nothing here
// depends on the processor's handling of subnormal floats.
#include "quant/f16/f16.h"

namespace puna::quant {

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = bits & 0x7fff;
  uint32_t out = (magnitude << 13) + ((127 - 15) << 23);
  if (magnitude < 0x0400)
    out = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int>(magnitude)) * 0x1p-24f);
  if (magnitude >= 0x7c00) out = (magnitude << 13) | 0x7f800000;
  return std::bit_cast<float>(out | sign);
}

uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t out = 0;
  if (magnitude > 0x7f800000) {
    out = 0x7e00 | (magnitude >> 13 & 0x3ff);  // stays a NaN
  } else if (magnitude >= 0x47800000) {        // 2^16 and more
    out = 0x7c00;
  } else if (magnitude < 0x38800000) {  // below 2^-14: subnormal
    out = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
          std::bit_cast<uint32_t>(0.5f);
  } else {
    // Ties to even as in FloatToBfloat16; a carry out of the mantissa raises the exponent, up to
    // infinity.
    out = (magnitude + 0xfff + (magnitude >> 13 & 1) - ((127 - 15) << 23)) >> 13;
  }
  return static_cast<uint16_t>(out | sign);
}

void DecodeF16(const uint8_t* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = HalfToFloat(LoadU16(blocks + 2 * i));
}

void EncodeF16(const float* values, int64_t n, const float* /*importance*/, uint8_t* blocks) {
  for (int64_t i = 0; i < n; ++i) StoreU16(FloatToHalf(values[i]), blocks + 2 * i);
}

}  // namespace puna::quant
