// The driver of the int8 kernels: rows x tokens x chunks, for any instruction set. A unit includes
// this, brings its Simd (see r16_panel.h) and its Tile, and gets a multiply function per type.
// Internal linkage, as in r16_panel.h.
//
// Order: a block of tokens; two groups of rows; chunks of 256 columns. For each chunk both groups
// are unpacked (10 KiB) and multiplied with all tokens of the block, whose sums wait in a buffer of
// their own: 128 bytes a token, consecutive, while the result's rows are kilobytes apart.
//
// The float operations behind one result are the same, in the same order, for any number of tokens
// and any place in the batch: batching never changes a result.
#ifndef PUNA_BACKEND_CPU_KERNELS_INT8_TILES_H_
#define PUNA_BACKEND_CPU_KERNELS_INT8_TILES_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/r16.h"
#include "backend/cpu/kernels/r16_panel.h"

namespace puna::backend::cpu {
namespace {

// What of a format matters to a tile kernel.
struct TileShape {
  int block;    // columns that share a scale
  bool super;   // input scale per 256, weight scales whole numbers; else the input's is per 32
  bool biased;  // the panel's levels are `bias` above the values: sums start at the input's start
                // plane
  bool min;
  int largest;  // level
  int bias;
};
constexpr TileShape ShapeOf(const R16Format& format, Levels levels) {
  const int bias = BiasOf(format, levels);
  return {format.block, format.super, bias != 0, format.min, LargestLevel(format, levels), bias};
}

// One chunk of a prepared input from some token on; the planes advance by the given numbers of
// elements per token.
struct ChunkInput {
  const uint8_t* values;    // 256
  const int32_t* start;     // blocks of 256 columns
  const float* scale;       // super: 1, else 8
  const int16_t* sum;       // super: blocks of 256 columns
  const float* scaled_sum;  // not super: 8
  int64_t prefetch_lines;   // of each panel's next chunk, per block
};

template <TileShape shape>
constexpr int kBlocks = static_cast<int>(kChunk) / shape.block;

// Block `b` of token `t` among the input's scales of 32 columns each.
template <TileShape shape>
constexpr int ScaleIndex(int t, int b) {
  return t * 8 + b * shape.block / 32;
}

template <TileShape shape>
ChunkInput InputOf(const uint8_t* prepared, int64_t tokens, int64_t cols, int64_t chunk,
                   int64_t token) {
  const int64_t index = chunk * tokens + token;
  ChunkInput input = {};
  input.values = prepared + index * kChunk;
  if constexpr (shape.super) {
    const Int8Block256Planes planes(ChunkCount(cols), tokens);
    constexpr int n = kBlocks<shape>;
    input.start =
        reinterpret_cast<const int32_t*>(prepared + (n == 16 ? planes.start16 : planes.start32)) +
        index * n;
    input.sum =
        reinterpret_cast<const int16_t*>(prepared + (n == 16 ? planes.sum16 : planes.sum32)) +
        index * n;
    input.scale = reinterpret_cast<const float*>(prepared + planes.scale) + index;
  } else {
    const Int8Block32Planes planes(ChunkCount(cols), tokens);
    constexpr int n = kBlocks<shape>;
    input.start =
        reinterpret_cast<const int32_t*>(prepared + (n == 16 ? planes.start16 : planes.start)) +
        index * n;
    input.scale = reinterpret_cast<const float*>(prepared + planes.scale) + index * 8;
    input.scaled_sum = reinterpret_cast<const float*>(prepared + planes.scaled_sum) + index * 8;
  }
  return input;
}

template <TileShape shape>
void Advance(int64_t tokens, ChunkInput* input) {
  input->values += tokens * kChunk;
  input->start += tokens * kBlocks<shape>;
  input->scale += tokens * (shape.super ? 1 : 8);
  input->sum += tokens * kBlocks<shape>;
  input->scaled_sum += tokens * 8;
}

constexpr int64_t kTokenBlock = 512;

// Vector kernels: Tiles::Run<shape, groups>(tokens, ...) does up to Tiles::kMaxTokens tokens of a
// chunk.
template <const R16Format& format, typename Simd, typename Tiles>
struct VectorKernel {
  static constexpr TileShape shape = ShapeOf(format, Simd::kLevels);
  using Panel = R16Panel;
  struct Scope {};  // what has to be set up around the work: nothing

  static void Unpack(const uint8_t* chunk, int64_t cols, const uint8_t* next, Panel* panel) {
    UnpackChunk<format, Simd>(chunk, cols, next, panel);
  }

  // sums[token][kTileGroups][16] += chunk
  template <int kGroups>
  static void Multiply(Panel* panels, int blocks, ChunkInput input, int64_t tokens, float* sums) {
    constexpr int kMax = Tiles::kMaxTokens;
    // Tiles of nearly equal size: a remainder of one token would run at a fraction of the speed.
    int64_t tiles = (tokens + kMax - 1) / kMax;
    input.prefetch_lines = (panels[0].next_lines + tiles * blocks - 1) / (tiles * blocks);
    for (; tiles > 0; --tiles) {
      const int64_t count = (tokens + tiles - 1) / tiles;
      Tiles::template Run<shape, kGroups>(static_cast<int>(count), panels, blocks, input, sums);
      Advance<shape>(count, &input);
      for (int g = 0; g < kGroups; ++g) panels[g].next += input.prefetch_lines * blocks * 64;
      sums += count * kTileGroups * kGroupRows;
      tokens -= count;
    }
  }
};

// Writes the first `rows` of the `kRows` sums of each token.
template <int64_t kRows>
inline void StoreSums(const float* sums, int64_t tokens, int64_t rows, float* out,
                      int64_t out_stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    if (rows >= kRows) {  // of a size that the compiler knows
      std::memcpy(out + t * out_stride, sums + t * kRows, kRows * sizeof(float));
    } else {
      std::memcpy(out + t * out_stride, sums + t * kRows, rows * sizeof(float));
    }
  }
}

template <const R16Format& format, typename Kernel>
void MultiplyR16(const MultiplyTask& task) {
  [[maybe_unused]] const typename Kernel::Scope scope;
  alignas(64) float sums[kTokenBlock * kTileRows];
  typename Kernel::Panel panels[kTileGroups];
  const int64_t chunks = ChunkCount(task.cols);
  for (int64_t first = 0; first < task.tokens; first += kTokenBlock) {
    const int64_t tokens = task.tokens - first < kTokenBlock ? task.tokens - first : kTokenBlock;
    for (int64_t row = 0; row < task.rows; row += kTileRows) {
      const int64_t rows = task.rows - row < kTileRows ? task.rows - row : kTileRows;
      const uint8_t* packed = task.tiles + row / kTileRows * task.tile_bytes;
      std::memset(sums, 0, tokens * kTileRows * sizeof(float));
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const int64_t cols =
            task.cols - chunk * kChunk < kChunk ? task.cols - chunk * kChunk : kChunk;
        const int64_t to_other = PartsOf<format>(cols).bytes;
        const uint8_t* next = packed + kTileGroups * to_other;
        const ChunkInput input =
            InputOf<Kernel::shape>(task.input, task.tokens, task.cols, chunk, first);
        const int blocks = static_cast<int>(format.blocks(cols));
        Kernel::Unpack(packed, cols, next, &panels[0]);
        if (rows > kGroupRows) {
          Kernel::Unpack(packed + to_other, cols, next + PartsOf<format>(kChunk).bytes, &panels[1]);
          Kernel::template Multiply<2>(panels, blocks, input, tokens, sums);
        } else {
          Kernel::template Multiply<1>(panels, blocks, input, tokens, sums);
        }
        packed = next;
      }
      StoreSums<kTileRows>(sums, tokens, rows, task.out + first * task.out_stride + row,
                           task.out_stride);
    }
  }
}

template <const R16Format& format, typename Packing>
constexpr TypeKernels RowWithPacking(const char* name, void (*multiply)(const MultiplyTask&)) {
  return {.type = format.type,
          .kernels = {
              .name = name,
              .input = format.super ? InputFormat::kInt8Block256 : InputFormat::kInt8Block32,
              .tile_bytes = &Packing::TileBytes,
              .pack = &Packing::Pack,
              .unpack = &Packing::Unpack,
              .multiply = multiply,
          }};
}

// The table's row of a format.
template <const R16Format& format>
constexpr TypeKernels R16Row(const char* name, void (*multiply)(const MultiplyTask&)) {
  if constexpr (format.lookup == R16Lookup::kGrid) {
    return RowWithPacking<format, GridPacking<format>>(name, multiply);
  } else {
    return RowWithPacking<format, R16Packing<format>>(name, multiply);
  }
}
template <const R16Format& format, typename Simd, typename Tiles>
constexpr TypeKernels R16Row(const char* name) {
  return R16Row<format>(name, &MultiplyR16<format, VectorKernel<format, Simd, Tiles>>);
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_INT8_TILES_H_
