// IQ3_S: groups of 4 values from a grid of 512 points, with signs. 3.4375 bits a weight.
#ifndef PUNA_QUANT_IQ3_S_IQ3_S_H_
#define PUNA_QUANT_IQ3_S_IQ3_S_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ3_S {
  static constexpr int kElements = 256;
  Half d;             // scale
  uint8_t qs[64];     // low 8 bits of the grid index
  uint8_t qh[8];      // ninth bits of eight indices
  uint8_t signs[32];  // of each 8 values
  uint8_t scales[4];  // a nibble for each 32 values
};

void DecodeIQ3_S(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ3_S_IQ3_S_H_
