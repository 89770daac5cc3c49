// TQ1_0: ternary digits packed five to a byte; value = d * (digit - 1). 1.6875 bits a weight.
#ifndef PUNA_QUANT_TQ1_0_TQ1_0_H_
#define PUNA_QUANT_TQ1_0_TQ1_0_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockTQ1_0 {
  static constexpr int kElements = 256;
  uint8_t qs[48];  // five ternary digits a byte, see tq1_0.cc
  uint8_t qh[4];   // four digits a byte
  Half d;          // scale
};

void DecodeTQ1_0(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_TQ1_0_TQ1_0_H_
