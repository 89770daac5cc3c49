// TQ2_0: ternary digits of two bits each; value = d * (q - 1). 2.0625 bits a weight.
#ifndef PUNA_QUANT_TQ2_0_TQ2_0_H_
#define PUNA_QUANT_TQ2_0_TQ2_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockTQ2_0 {
  static constexpr int kElements = 256;
  uint8_t qs[64];  // byte l + 32 h, bits 2 g: value l + 32 g + 128 h
  Half d;          // scale
};

void DecodeTQ2_0(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_TQ2_0_TQ2_0_H_
