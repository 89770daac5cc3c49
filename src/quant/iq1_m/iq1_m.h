// IQ1_M: as IQ1_S with a scale for each 16 values and a shift for each 8. 1.75 bits a weight.
#ifndef PUNA_QUANT_IQ1_M_IQ1_M_H_
#define PUNA_QUANT_IQ1_M_IQ1_M_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockIQ1_M {
  static constexpr int kElements = 256;
  uint8_t qs[32];     // low 8 bits of the grid index
  uint8_t qh[16];     // for each 8 values a nibble: 3 high bits, sign of the shift
  uint8_t scales[8];  // 4 words: four 3-bit scales and 4 bits of the common half scale
};

void DecodeIQ1_M(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ1_M_IQ1_M_H_
