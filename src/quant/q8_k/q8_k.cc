#include "quant/q8_k/q8_k.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ8_K& block, float* out) {
  const float d = std::bit_cast<float>(LoadU32(block.d));
  for (int j = 0; j < 256; ++j) out[j] = d * static_cast<float>(block.qs[j]);
}

}  // namespace

void DecodeQ8_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ8_K, Decode>(blocks, n, out);
}

}  // namespace puna::quant
