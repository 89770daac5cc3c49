// F32: the values as they are.
#ifndef PUNA_QUANT_F32_F32_H_
#define PUNA_QUANT_F32_F32_H_

#include "quant/quant_block.h"

namespace puna::quant {

void DecodeF32(const uint8_t* blocks, int64_t n, float* out);
void EncodeF32(const float* values, int64_t n, const float* importance, uint8_t* blocks);

}  // namespace puna::quant

#endif  // PUNA_QUANT_F32_F32_H_
