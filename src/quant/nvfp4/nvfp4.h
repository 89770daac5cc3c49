// NVFP4: 4-bit floats (E2M1), 4 sub-blocks of 16 under small float scales (E4M3). 4.5 bits a
// weight.
#ifndef PUNA_QUANT_NVFP4_NVFP4_H_
#define PUNA_QUANT_NVFP4_NVFP4_H_

#include "quant/quant_block.h"

namespace puna::quant {

struct BlockNVFP4 {
  static constexpr int kElements = 64;
  uint8_t d[4];    // scale of each 16 values, unsigned E4M3
  uint8_t qs[32];  // 8 bytes for each 16 values: value j in the low nibble of byte j, j + 8 in the
                   // high one
};

void DecodeNVFP4(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_NVFP4_NVFP4_H_
