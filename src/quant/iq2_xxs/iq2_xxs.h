// IQ2_XXS: groups of 8 values from a grid of 256 points, with signs. 2.0625 bits a weight.
#ifndef PUNA_QUANT_IQ2_XXS_IQ2_XXS_H_
#define PUNA_QUANT_IQ2_XXS_IQ2_XXS_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ2_XXS {
  static constexpr int kElements = 256;
  Half d;          // scale
  uint8_t qs[64];  // for each 32 values 4 grid indices, then 4 x 7 signs and a 4-bit scale
};

void DecodeIQ2_XXS(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ2_XXS_IQ2_XXS_H_
