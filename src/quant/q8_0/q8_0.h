// Q8_0: signed bytes and one scale; value = d * q. 8.5 bits a weight.
#ifndef PUNA_QUANT_Q8_0_Q8_0_H_
#define PUNA_QUANT_Q8_0_Q8_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ8_0 {
  static constexpr int kElements = 32;
  Half d;  // scale
  int8_t qs[32];
};

void DecodeQ8_0(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ8_0(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q8_0_Q8_0_H_
