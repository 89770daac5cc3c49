// Q8_1: Q8_0 with the sum of the values; a format of activations, seldom seen in files.
#ifndef PUNA_QUANT_Q8_1_Q8_1_H_
#define PUNA_QUANT_Q8_1_Q8_1_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ8_1 {
  static constexpr int kElements = 32;
  Half d;  // scale
  Half s;  // d times the sum of qs, for dot products with formats that have a minimum
  int8_t qs[32];
};

void DecodeQ8_1(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q8_1_Q8_1_H_
