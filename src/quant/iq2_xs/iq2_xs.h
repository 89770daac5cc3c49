// IQ2_XS: groups of 8 values from a grid of 512 points, with signs. 2.3125 bits a weight.
#ifndef PUNA_QUANT_IQ2_XS_IQ2_XS_H_
#define PUNA_QUANT_IQ2_XS_IQ2_XS_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ2_XS {
  static constexpr int kElements = 256;
  Half d;             // scale
  uint8_t qs[64];     // 32 words: 9 bits of grid index, 7 of signs
  uint8_t scales[8];  // a nibble for each 16 values
};

void DecodeIQ2_XS(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ2_XS_IQ2_XS_H_
