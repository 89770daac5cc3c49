#include "quant/bf16/bf16.h"

namespace puna::quant {

float Bfloat16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

uint16_t FloatToBfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t upper = bits >> 16;
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(upper | 0x40);  // stays a NaN
  // Half a unit of the kept part, less one bit unless the kept part is odd: ties go to even.
  return static_cast<uint16_t>((bits + 0x7fff + (upper & 1)) >> 16);
}

void DecodeBF16(const uint8_t* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = Bfloat16ToFloat(LoadU16(blocks + 2 * i));
}

void EncodeBF16(const float* values, int64_t n, const float* /*importance*/, uint8_t* blocks) {
  for (int64_t i = 0; i < n; ++i) StoreU16(FloatToBfloat16(values[i]), blocks + 2 * i);
}

}  // namespace puna::quant
