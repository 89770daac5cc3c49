// Q2_0: 2 bits and one scale; value = d * (q - 1). 2.25 bits a weight.
#ifndef PUNA_QUANT_Q2_0_Q2_0_H_
#define PUNA_QUANT_Q2_0_Q2_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ2_0 {
  static constexpr int kElements = 64;
  Half d;          // scale
  uint8_t qs[16];  // four values a byte, lowest bits first
};

void DecodeQ2_0(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q2_0_Q2_0_H_
