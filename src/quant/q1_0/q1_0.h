// Q1_0: the sign under one scale; value = +d or -d. 1.125 bits a weight.
#ifndef PUNA_QUANT_Q1_0_Q1_0_H_
#define PUNA_QUANT_Q1_0_Q1_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ1_0 {
  static constexpr int kElements = 128;
  Half d;          // scale
  uint8_t qs[16];  // one bit a value, lowest first: 1 is +d, 0 is -d
};

void DecodeQ1_0(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q1_0_Q1_0_H_
