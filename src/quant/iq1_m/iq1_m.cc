#include "quant/iq1_m/iq1_m.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

// The half-precision scale of the block, four bits from the top of each word.
float CommonScale(const BlockIQ1_M& block) {
  unsigned bits = 0;
  for (int i = 0; i < 4; ++i)
    bits |= static_cast<unsigned>(LoadU16(block.scales + 2 * i) >> 12) << (4 * i);
  return HalfToFloat(static_cast<uint16_t>(bits));
}

void Decode(const BlockIQ1_M& block, float* out) {
  const float d = CommonScale(block);
  for (int group = 0; group < 32; ++group, out += 8) {
    const int pair = group / 2;  // 16 values under one scale
    const int scale_bits = LoadU16(block.scales + pair / 4 * 2) >> (pair % 4 * 3) & 7;
    const float scale = d * static_cast<float>(2 * scale_bits + 1);
    const int high = block.qh[pair] >> (group % 2 * 4) & 15;
    const float shift = (high & 8) != 0 ? -kIq1Shift : kIq1Shift;
    const int index = block.qs[group] | (high & 7) << 8;
    for (int j = 0; j < 8; ++j) out[j] = scale * (Iq1Value(kIq1Grid[index], j) + shift);
  }
}

}  // namespace

void DecodeIQ1_M(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ1_M, Decode>(blocks, n, out);
}

}  // namespace puna::quant
