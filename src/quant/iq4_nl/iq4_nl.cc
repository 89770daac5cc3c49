#include "quant/iq4_nl/iq4_nl.h"

#include "quant/quant_levels.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ4_NL& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * kIq4Levels[block.qs[j] & 15];
    out[j + 16] = d * kIq4Levels[block.qs[j] >> 4];
  }
}

}  // namespace

void DecodeIQ4_NL(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ4_NL, Decode>(blocks, n, out);
}

}  // namespace puna::quant
