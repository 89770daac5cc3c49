// Q4_1: 4 bits, scale and minimum; value = d * q + m. 5 bits a weight.
#ifndef PUNA_QUANT_Q4_1_Q4_1_H_
#define PUNA_QUANT_Q4_1_Q4_1_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ4_1 {
  static constexpr int kElements = 32;
  Half d;          // scale
  Half m;          // minimum
  uint8_t qs[16];  // as in Q4_0
};

void DecodeQ4_1(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ4_1(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q4_1_Q4_1_H_
