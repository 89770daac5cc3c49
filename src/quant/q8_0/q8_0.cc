#include "quant/q8_0/q8_0.h"

#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ8_0& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(block.qs[j]) * d;
}

void Encode(const float* x, const float* /*importance*/, BlockQ8_0* block) {
  float largest = 0;
  for (int j = 0; j < 32; ++j) largest = std::max(largest, std::fabs(x[j]));
  const float inverse = InverseOf(StoreHalf(largest / 127, block->d));
  for (int j = 0; j < 32; ++j)
    block->qs[j] = static_cast<int8_t>(RoundLevel(x[j] * inverse, -127, 127));
}

}  // namespace

void DecodeQ8_0(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ8_0, Decode>(blocks, n, out);
}

void EncodeQ8_0(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockQ8_0, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
