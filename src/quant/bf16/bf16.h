// BF16: the upper half of a float32.
#ifndef PUNA_QUANT_BF16_BF16_H_
#define PUNA_QUANT_BF16_BF16_H_

#include "quant/quant_block.h"

namespace puna::quant {

void DecodeBF16(const uint8_t* blocks, int64_t n, float* out);
void EncodeBF16(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_BF16_BF16_H_
