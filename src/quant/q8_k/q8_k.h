// Q8_K: signed bytes under a float scale; a format of activations, seldom seen in files.
#ifndef PUNA_QUANT_Q8_K_Q8_K_H_
#define PUNA_QUANT_Q8_K_Q8_K_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ8_K {
  static constexpr int kElements = 256;
  uint8_t d[4];  // scale, a float32
  int8_t qs[256];
  uint8_t sums[32];  // int16 sums of 16 values each, for dot products
};

void DecodeQ8_K(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q8_K_Q8_K_H_
