#include "quant/iq3_s/iq3_s.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ3_S& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int group = 0; group < 64; ++group, out += 4) {
    const int sub = group / 8;
    const int scale_bits = block.scales[sub / 2] >> (sub % 2 * 4) & 15;
    const float scale = d * static_cast<float>(1 + 2 * scale_bits);
    const int index = block.qs[group] | (block.qh[sub] >> (group % 8) & 1) << 8;
    const unsigned signs = block.signs[group / 2] >> (group % 2 * 4);
    for (int j = 0; j < 4; ++j) out[j] = scale * Iq3SValue(kIq3SGrid[index], j) * SignAt(signs, j);
  }
}

}  // namespace

void DecodeIQ3_S(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ3_S, Decode>(blocks, n, out);
}

}  // namespace puna::quant
