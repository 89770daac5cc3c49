// IQ4_NL: 4-bit indices into a fixed uneven scale of levels; value = d * level[q]. 4.5 bits a
// weight.
#ifndef PUNA_QUANT_IQ4_NL_IQ4_NL_H_
#define PUNA_QUANT_IQ4_NL_IQ4_NL_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ4_NL {
  static constexpr int kElements = 32;
  Half d;          // scale
  uint8_t qs[16];  // indices into kIq4Levels, placed as in Q4_0
};

void DecodeIQ4_NL(const uint8_t* blocks, int64_t n, float* out);
void EncodeIQ4_NL(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ4_NL_IQ4_NL_H_
