// F16: IEEE binary16.
#ifndef PUNA_QUANT_F16_F16_H_
#define PUNA_QUANT_F16_F16_H_

#include "quant/quant_block.h"

namespace puna::quant {

void DecodeF16(const uint8_t* blocks, int64_t n, float* out);
void EncodeF16(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_F16_F16_H_
