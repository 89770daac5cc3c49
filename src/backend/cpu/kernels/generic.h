// The generic kernel: weights stay GGUF blocks, and a panel of 16 rows x 256 columns at a time is
// decoded to float32 and multiplied in float32. Any type that quant decodes, on any instruction
// set; an instruction set brings only the product of a panel.
#ifndef PUNA_BACKEND_CPU_KERNELS_GENERIC_H_
#define PUNA_BACKEND_CPU_KERNELS_GENERIC_H_

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

int64_t GenericTileBytes(const quant::TypeTraits& traits, int64_t cols);
void GenericPack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
                 int64_t cols, uint8_t* tile);
void GenericUnpack(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row, int64_t cols,
                   uint8_t* row_blocks);
void GenericMultiply(const MultiplyTask& task, PanelFn multiply_panel);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_GENERIC_H_
