// Q4_0: 4 bits and one scale; value = d * (q - 8). 4.5 bits a weight.
#ifndef PUNA_QUANT_Q4_0_Q4_0_H_
#define PUNA_QUANT_Q4_0_Q4_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ4_0 {
  static constexpr int kElements = 32;
  Half d;          // scale
  uint8_t qs[16];  // value j in the low nibble of byte j, value j + 16 in the high one
};

void DecodeQ4_0(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ4_0(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q4_0_Q4_0_H_
