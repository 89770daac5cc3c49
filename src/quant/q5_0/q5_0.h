// Q5_0: 5 bits and one scale; value = d * (q - 16). 5.5 bits a weight.
#ifndef PUNA_QUANT_Q5_0_Q5_0_H_
#define PUNA_QUANT_Q5_0_Q5_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ5_0 {
  static constexpr int kElements = 32;
  Half d;          // scale
  uint8_t qh[4];   // bit j of these 32 is the fifth bit of value j
  uint8_t qs[16];  // as in Q4_0
};

void DecodeQ5_0(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ5_0(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q5_0_Q5_0_H_
