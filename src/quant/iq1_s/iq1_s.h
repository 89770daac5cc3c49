// IQ1_S: groups of 8 ternary values from a grid of 2048 points, shifted by an eighth. 1.5625 bits a
// weight.
#ifndef PUNA_QUANT_IQ1_S_IQ1_S_H_
#define PUNA_QUANT_IQ1_S_IQ1_S_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ1_S {
  static constexpr int kElements = 256;
  Half d;          // scale
  uint8_t qs[32];  // low 8 bits of the grid index
  uint8_t qh[16];  // for each 32 values a word: 4 x 3 high bits, 3 of scale, sign of the shift
};

void DecodeIQ1_S(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ1_S_IQ1_S_H_
