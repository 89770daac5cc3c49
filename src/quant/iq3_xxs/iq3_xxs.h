// IQ3_XXS: groups of 4 values from a grid of 256 points, with signs. 3.0625 bits a weight.
#ifndef PUNA_QUANT_IQ3_XXS_IQ3_XXS_H_
#define PUNA_QUANT_IQ3_XXS_IQ3_XXS_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ3_XXS {
  static constexpr int kElements = 256;
  Half d;                        // scale
  uint8_t qs[64];                // grid indices
  uint8_t scales_and_signs[32];  // for each 32 values 4 x 7 signs and a 4-bit scale
};

void DecodeIQ3_XXS(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ3_XXS_IQ3_XXS_H_
