// Weights that are floating-point numbers: packed as [column][32 rows] in their own width,
// multiplied in float32 with the unrounded input; or as [column / 2][32 rows][2] for products of
// pairs with an input of the same width. So both groups of a tile are one ascending stream column
// by column: chunk by chunk in turn, as in r16.h, would be two with gaps, which F16 at one token
// read at 27 GB/s in place of 46 on two Zen 5 cores. Portable packing in r16_float_pack.cc; the
// driver below is compiled by each instruction set's unit, hence internal linkage. `Tiles` brings
//   using Input = ...;  // an element of the prepared input
//   template <typename Element, int kGroups> static void Run(int tokens, const Element* columns,
//                                                            int64_t count, const Input* input,
//                                                            float* sums);
// sums[t][g][r] += sum over k < count of columns[k][g][r] * input[t][k], in the order of k; sums
// has rows of kTileRows, of which groups that are not asked for are not touched.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_FLOAT_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_FLOAT_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

// The bits of an element; the type tells F16 from BF16.
struct FloatBits {
  uint32_t bits;
};
struct HalfBits {
  uint16_t bits;
};
struct Bfloat16Bits {
  uint16_t bits;
};
// A Bfloat16Bits whose columns are packed in pairs; the second of an odd last column is zero.
struct PairedBfloat16Bits {
  uint16_t bits;
};

template <typename Element>
constexpr int64_t kColumnsTogether = 1;
template <>
inline constexpr int64_t kColumnsTogether<PairedBfloat16Bits> = 2;

template <typename Element>
struct FloatPacking {
  static int64_t TileBytes(const quant::TypeTraits& traits, int64_t cols);
  static void Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
                   int64_t cols, uint8_t* tile);
  static void Unpack(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row,
                     int64_t cols, uint8_t* row_blocks);
};

namespace {

template <typename Element, typename Tiles>
void MultiplyFloat(const MultiplyTask& task) {
  constexpr int64_t kTokenBlock = 240;
  constexpr int kMax = Tiles::kMaxTokens;
  alignas(64) float sums[kTokenBlock * kTileRows];
  using Input = typename Tiles::Input;
  const auto* inputs = reinterpret_cast<const Input*>(task.input);
  for (int64_t first = 0; first < task.tokens; first += kTokenBlock) {
    const int64_t tokens = task.tokens - first < kTokenBlock ? task.tokens - first : kTokenBlock;
    for (int64_t row = 0; row < task.rows; row += kTileRows) {
      const int64_t rows = task.rows - row < kTileRows ? task.rows - row : kTileRows;
      const uint8_t* tile = task.tiles + row / kTileRows * task.tile_bytes;
      std::memset(sums, 0, tokens * kTileRows * sizeof(float));
      for (int64_t chunk = 0; chunk < ChunkCount(task.cols); ++chunk) {
        const int64_t count =
            task.cols - chunk * kChunk < kChunk ? task.cols - chunk * kChunk : kChunk;
        const Input* input = inputs + (chunk * task.tokens + first) * kChunk;
        const Element* columns =
            reinterpret_cast<const Element*>(tile) + chunk * kChunk * kTileRows;
        int64_t left = tokens;
        for (int64_t tiles = (tokens + kMax - 1) / kMax; tiles > 0; --tiles) {
          const int64_t now = (left + tiles - 1) / tiles;
          float* at = sums + (tokens - left) * kTileRows;
          const Input* values = input + (tokens - left) * kChunk;
          if (rows > kGroupRows) {
            Tiles::template Run<Element, 2>(static_cast<int>(now), columns, count, values, at);
          } else {
            Tiles::template Run<Element, 1>(static_cast<int>(now), columns, count, values, at);
          }
          left -= now;
        }
      }
      for (int64_t t = 0; t < tokens; ++t) {
        std::memcpy(task.out + (first + t) * task.out_stride + row, sums + t * kTileRows,
                    rows * sizeof(float));
      }
    }
  }
}

// The table's row of a type.
template <typename Element, typename Tiles>
constexpr TypeKernels FloatRow(quant::TensorType type, const char* name,
                               InputFormat input = InputFormat::kF32) {
  return {.type = type,
          .kernels = {
              .name = name,
              .input = input,
              .tile_bytes = &FloatPacking<Element>::TileBytes,
              .pack = &FloatPacking<Element>::Pack,
              .unpack = &FloatPacking<Element>::Unpack,
              .multiply = &MultiplyFloat<Element, Tiles>,
          }};
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_FLOAT_H_
