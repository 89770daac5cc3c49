// Q5_K: 5 bits, 8 sub-blocks of 32 with 6-bit scale and minimum; value = d * scale * q - dmin *
// min. 5.5 bits a weight.
#ifndef PUNA_QUANT_Q5_K_Q5_K_H_
#define PUNA_QUANT_Q5_K_Q5_K_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ5_K {
  static constexpr int kElements = 256;
  Half d;              // scale of the scales
  Half dmin;           // scale of the minimums
  uint8_t scales[12];  // see quant_k_scales.h
  uint8_t qh[32];      // fifth bit: byte l, bit g: value l + 32 g
  uint8_t qs[128];     // as in Q4_K
};

void DecodeQ5_K(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ5_K(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q5_K_Q5_K_H_
