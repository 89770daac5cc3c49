// Q6_K: 6 bits, 16 sub-blocks of 16 with an 8-bit scale; value = d * scale * (q - 32). 6.5625 bits
// a weight.
#ifndef PUNA_QUANT_Q6_K_Q6_K_H_
#define PUNA_QUANT_Q6_K_Q6_K_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockQ6_K {
  static constexpr int kElements = 256;
  uint8_t ql[128];    // low nibbles, see q6_k.cc
  uint8_t qh[64];     // high bits: byte l + 32 h, bits 2 g: value l + 32 g + 128 h
  int8_t scales[16];  // of each 16 values
  Half d;             // scale of the scales
};

void DecodeQ6_K(const uint8_t* blocks, int64_t n, float* out);
void EncodeQ6_K(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_Q6_K_Q6_K_H_
