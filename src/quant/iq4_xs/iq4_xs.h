// IQ4_XS: the levels of IQ4_NL, 8 sub-blocks of 32 with 6-bit scales; value = d * (scale - 32) *
// level[q]. 4.25 bits a weight.
#ifndef PUNA_QUANT_IQ4_XS_IQ4_XS_H_
#define PUNA_QUANT_IQ4_XS_IQ4_XS_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ4_XS {
  static constexpr int kElements = 256;
  Half d;               // scale of the scales
  uint8_t scales_h[2];  // bits 2 s: high bits of the scale of sub-block s
  uint8_t scales_l[4];  // nibble s: low bits of it
  uint8_t qs[128];      // 16 bytes for each sub-block, placed as in Q4_0
};

void DecodeIQ4_XS(const uint8_t* blocks, int64_t n, float* out);
void EncodeIQ4_XS(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ4_XS_IQ4_XS_H_
