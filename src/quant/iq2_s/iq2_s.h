// IQ2_S: groups of 8 values from a grid of 1024 points, with signs. 2.5625 bits a weight.
#ifndef PUNA_QUANT_IQ2_S_IQ2_S_H_
#define PUNA_QUANT_IQ2_S_IQ2_S_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ2_S {
  static constexpr int kElements = 256;
  Half d;             // scale
  uint8_t qs[32];     // low 8 bits of the grid index
  uint8_t signs[32];  // of each 8 values
  uint8_t qh[8];      // high 2 bits of four indices
  uint8_t scales[8];  // a nibble for each 16 values
};

void DecodeIQ2_S(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ2_S_IQ2_S_H_
