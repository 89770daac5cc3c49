// Q3_K: 3 bits, 16 sub-blocks of 16 with a signed 6-bit scale; value = d * (scale - 32) * (q - 4).
// 3.4375 bits a weight.
#ifndef PUNA_QUANT_Q3_K_Q3_K_H_
#define PUNA_QUANT_Q3_K_Q3_K_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ3_K {
  static constexpr int kElements = 256;
  uint8_t hmask[32];   // third bit: byte l, bit g: value l + 32 g
  uint8_t qs[64];      // low bits, as in Q2_K
  uint8_t scales[12];  // sixteen 6-bit scales, stored plus 32; see q3_k.cc
  Half d;              // scale of the scales
};

void DecodeQ3_K(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ3_K(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q3_K_Q3_K_H_
