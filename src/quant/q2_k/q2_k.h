// Q2_K: 2 bits, 16 sub-blocks of 16 with 4-bit scale and minimum; value = d * scale * q - dmin *
// min. 2.625 bits a weight.
#ifndef PUNA_QUANT_Q2_K_Q2_K_H_
#define PUNA_QUANT_Q2_K_Q2_K_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ2_K {
  static constexpr int kElements = 256;
  uint8_t scales[16];  // of each 16 values: scale in the low nibble, minimum in the high one
  uint8_t qs[64];      // byte l + 32 h, bits 2 g: value l + 32 g + 128 h
  Half d;              // scale of the scales
  Half dmin;           // scale of the minimums
};

void DecodeQ2_K(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ2_K(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q2_K_Q2_K_H_
