#include "quant/f64/f64.h"

namespace puna::quant {

void DecodeF64(const uint8_t* blocks, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(std::bit_cast<double>(LoadU64(blocks + 8 * i)));
  }
}

}  // namespace puna::quant
