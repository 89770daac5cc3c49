// MXFP4: 4-bit floats (E2M1) under a power of two (E8M0), from the OCP microscaling formats 1.0.
// 4.25 bits a weight.
#ifndef PUNA_QUANT_MXFP4_MXFP4_H_
#define PUNA_QUANT_MXFP4_MXFP4_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockMXFP4 {
  static constexpr int kElements = 32;
  uint8_t e[1];    // scale 2^(e - 127)
  uint8_t qs[16];  // E2M1 values, placed as in Q4_0
};

// As BlockMXFP4, but the values lie one after the other: byte j has 2j (low nibble) and 2j + 1.
struct BlockMXFP4InOrder {
  static constexpr int kElements = 32;
  uint8_t e[1];
  uint8_t qs[16];
};

void DecodeMXFP4(const uint8_t* blocks, int64_t n, float* out);
void EncodeMXFP4(const float* values, int64_t n, const float* importance, uint8_t* blocks);
void DecodeMXFP4InOrder(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_MXFP4_MXFP4_H_
