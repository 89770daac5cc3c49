// Q4_K: 4 bits, 8 sub-blocks of 32 with 6-bit scale and minimum; value = d * scale * q - dmin *
// min. 4.5 bits a weight.
#ifndef PUNA_QUANT_Q4_K_Q4_K_H_
#define PUNA_QUANT_Q4_K_Q4_K_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ4_K {
  static constexpr int kElements = 256;
  Half d;              // scale of the scales
  Half dmin;           // scale of the minimums
  uint8_t scales[12];  // see quant_k_scales.h
  uint8_t
      qs[128];  // byte l + 32 h: value l + 64 h in the low nibble, l + 64 h + 32 in the high one
};

void DecodeQ4_K(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ4_K(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q4_K_Q4_K_H_
