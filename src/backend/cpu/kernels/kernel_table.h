// What an instruction set offers to gemm.cc: one row per weight type, plus the parts that the
// generic kernel and the preparation of inputs need. Plain data and function pointers: included by
// units that are compiled for one instruction set, which must not instantiate anything of the
// standard library (the linker could keep their copy for everybody).
#ifndef PUNA_BACKEND_CPU_KERNELS_KERNEL_TABLE_H_
#define PUNA_BACKEND_CPU_KERNELS_KERNEL_TABLE_H_

#include <cstdint>

#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels/input_layout.h"
#include "quant/quant.h"

namespace puna::backend::cpu {

// Rows that are computed together, everywhere: the float32 lanes of the widest vectors.
inline constexpr int64_t kGroupRows = 16;
// Groups that kernels can take together, so that they share the loads of the input.
inline constexpr int kTileGroups = 2;
// Rows that are packed together. How the groups of a tile alternate is a layout's own choice
// (r16.h, r16_float.h): whether a kernel takes them together or in turn, it reads one ascending
// stream.
inline constexpr int64_t kTileRows = kTileGroups * kGroupRows;

// Some whole tiles of a packed matrix times all tokens of a prepared input.
struct MultiplyTask {
  const uint8_t* tiles = nullptr;  // first packed tile
  int64_t tile_bytes = 0;
  int64_t rows = 0;  // rows to compute, from the first row of the first tile on; the last tile
                     // may hold fewer than kTileRows
  int64_t cols = 0;
  const uint8_t* input = nullptr;  // prepared, all columns
  int64_t tokens = 0;
  float* out = nullptr;  // [tokens] at out_stride; [0] is the first row of the first tile
  int64_t out_stride = 0;
  const quant::TypeTraits* traits = nullptr;  // of the weight type: how the generic kernel decodes
};

// Multiplies a panel of 16 decoded rows with one chunk of the float32 input:
//   sums[t][r] += sum over k < count of panel[k][r] * input[t][k], k ascending
// panel is [count][16], input [tokens][kChunk], sums [tokens][16]. Every pointer is aligned to 64
// bytes.
using PanelFn = void (*)(const float* panel, int64_t count, const float* input, int64_t tokens,
                         float* sums);

// Writes the prepared form of tokens [begin, end) of in[token * stride + col] into `prepared`, laid
// out for `tokens`.
using PrepareFn = void (*)(const float* in, int64_t stride, int64_t begin, int64_t end,
                           int64_t tokens, int64_t cols, uint8_t* prepared);

struct GemmKernels {
  const char* name;  // "<type> <isa>", or "generic <isa>": tests assert which one ran
  InputFormat input;
  // Packed bytes of a tile.
  int64_t (*tile_bytes)(const quant::TypeTraits& traits, int64_t cols);
  // Packs `rows` <= kTileRows rows, each given by a pointer to its GGUF blocks. Rows that the tile
  // lacks become zero weights.
  void (*pack)(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
               int64_t cols, uint8_t* tile);
  // The GGUF blocks of one packed row again, bit for bit.
  void (*unpack)(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row, int64_t cols,
                 uint8_t* row_blocks);
  void (*multiply)(const MultiplyTask& task);
};

struct TypeKernels {
  quant::TensorType type;
  GemmKernels kernels;
};

// The rows of one unit. The first list of an instruction set that has a type and is available wins.
struct TypeList {
  const TypeKernels* rows;
  int64_t count;
  // What the unit needs beyond its instruction set; null: nothing.
  bool (*available)() = nullptr;
};

// Everything of one instruction set. A null entry falls back to the scalar unit's.
struct IsaKernels {
  Isa isa;
  const char* name;
  bool (*available)();
  const GemmKernels* generic;    // any type that quant decodes
  const TypeList* const* types;  // the types with kernels of their own, unit by unit
  int64_t type_lists;
  PrepareFn prepare[4];  // by InputFormat
  // Does rounds of the instruction that the int8 kernels are made of, on registers, with enough
  // independent sums to hide its latency, and returns the multiply-adds; for MeasureMachine. May be
  // null.
  int64_t (*spin_dots)(int64_t rounds);
};

const IsaKernels& ScalarKernels();
// Each exists in builds for its own processor family.
const IsaKernels* Avx2Kernels();
const IsaKernels* AvxVnniKernels();
const IsaKernels* Avx512Kernels();
const IsaKernels* Avx512Bf16Kernels();
const IsaKernels* AmxKernels();
const IsaKernels* NeonKernels();
const IsaKernels* DotprodKernels();
const IsaKernels* I8mmKernels();

// The row for (type, isa): the type's own kernels, or the generic ones.
const GemmKernels& FindKernels(quant::TensorType type, Isa isa);
const IsaKernels& KernelsOf(Isa isa);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_KERNEL_TABLE_H_
