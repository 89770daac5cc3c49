// F64: IEEE binary64, rounded to float32 when decoded; not made by puna.
#ifndef PUNA_QUANT_F64_F64_H_
#define PUNA_QUANT_F64_F64_H_

#include "quant/quant_block.h"

namespace puna::quant {

void DecodeF64(const uint8_t* blocks, int64_t n, float* out);

}  // namespace puna::quant

#endif  // PUNA_QUANT_F64_F64_H_
