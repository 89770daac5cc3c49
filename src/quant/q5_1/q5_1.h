// Q5_1: 5 bits, scale and minimum; value = d * q + m. 6 bits a weight.
#ifndef PUNA_QUANT_Q5_1_Q5_1_H_
#define PUNA_QUANT_Q5_1_Q5_1_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ5_1 {
  static constexpr int kElements = 32;
  Half d;          // scale
  Half m;          // minimum
  uint8_t qh[4];   // bit j of these 32 is the fifth bit of value j
  uint8_t qs[16];  // as in Q4_0
};

void DecodeQ5_1(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ5_1(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q5_1_Q5_1_H_
