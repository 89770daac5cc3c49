#include "quant/f32/f32.h"

namespace puna::quant {

void DecodeF32(const uint8_t* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = std::bit_cast<float>(LoadU32(blocks + 4 * i));
}

void EncodeF32(const float* values, int64_t n, const float* /*importance*/, uint8_t* blocks) {
  for (int64_t i = 0; i < n; ++i) StoreU32(std::bit_cast<uint32_t>(values[i]), blocks + 4 * i);
}

}  // namespace puna::quant
