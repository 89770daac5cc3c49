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
  bool super;   // input scale per 256, weight scales whole numbers; else both per block of 32
  bool biased;  // the panel's levels are not the values: sums start at the input's start plane
  bool min;
  int bits;    // of the largest level; 8 where the instruction set does not care
  int offset;  // level - value, with fewer than 8 bits
};
// `narrow`: the instruction set multiplies levels of few bits faster, and wants them as they are
// stored.
constexpr TileShape ShapeOf(const R16Format& format, bool narrow) {
  const bool as_stored = narrow && IsNarrow(format);
  return {format.block,
          format.super,
          format.biased(),
          format.min,
          as_stored ? format.level_bits : 8,
          as_stored ? format.offset : 0};
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
    input.start = reinterpret_cast<const int32_t*>(prepared + planes.start) + index * 8;
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

constexpr int64_t kTokenBlock = 256;
constexpr int kTileGroups = 2;

// sums[token][kTileGroups][16] += chunk. Tile<shape, groups, tokens>::Run does up to kMaxTileTokens
// tokens.
template <TileShape shape, int kGroups, typename Tiles>
void MultiplyChunk(R16Panel* panels, int blocks, ChunkInput input, int64_t tokens, float* sums) {
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

// Writes the first `rows` sums of each token.
inline void StoreSums(const float* sums, int64_t tokens, int64_t rows, float* out,
                      int64_t out_stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    std::memcpy(out + t * out_stride, sums + t * kTileGroups * kGroupRows, rows * sizeof(float));
  }
}

template <const R16Format& format, typename Simd, typename Tiles>
void MultiplyR16(const MultiplyTask& task) {
  constexpr TileShape shape = ShapeOf(format, Simd::kNarrow);
  alignas(64) float sums[kTokenBlock * kTileGroups * kGroupRows];
  R16Panel panels[kTileGroups];
  for (int64_t first = 0; first < task.tokens; first += kTokenBlock) {
    const int64_t tokens = task.tokens - first < kTokenBlock ? task.tokens - first : kTokenBlock;
    for (int64_t row = 0; row < task.rows; row += kTileGroups * kGroupRows) {
      const int64_t rows =
          task.rows - row < kTileGroups * kGroupRows ? task.rows - row : kTileGroups * kGroupRows;
      const uint8_t* group = task.groups + row / kGroupRows * task.group_bytes;
      std::memset(sums, 0, tokens * kTileGroups * kGroupRows * sizeof(float));
      for (int64_t chunk = 0; chunk < ChunkCount(task.cols); ++chunk) {
        const int64_t cols =
            task.cols - chunk * kChunk < kChunk ? task.cols - chunk * kChunk : kChunk;
        const uint8_t* packed = group + chunk * format.chunk_bytes(kChunk);
        const ChunkInput input = InputOf<shape>(task.input, task.tokens, task.cols, chunk, first);
        const int blocks = static_cast<int>(format.blocks(cols));
        const uint8_t* next = chunk + 1 < ChunkCount(task.cols)
                                  ? packed + format.chunk_bytes(kChunk)
                                  : group + kTileGroups * task.group_bytes;
        UnpackChunk<format, Simd>(packed, cols, next, &panels[0]);
        if (rows > kGroupRows) {
          UnpackChunk<format, Simd>(packed + task.group_bytes, cols, next + task.group_bytes,
                                    &panels[1]);
          MultiplyChunk<shape, 2, Tiles>(panels, blocks, input, tokens, sums);
        } else {
          MultiplyChunk<shape, 1, Tiles>(panels, blocks, input, tokens, sums);
        }
      }
      StoreSums(sums, tokens, rows, task.out + first * task.out_stride + row, task.out_stride);
    }
  }
}

// The table's row of a format.
template <const R16Format& format, typename Simd, typename Tiles>
constexpr TypeKernels R16Row(const char* name) {
  return {.type = format.type,
          .kernels = {
              .name = name,
              .input = format.super ? InputFormat::kInt8Block256 : InputFormat::kInt8Block32,
              .group_bytes = &R16Packing<format>::GroupBytes,
              .pack = &R16Packing<format>::Pack,
              .unpack = &R16Packing<format>::Unpack,
              .multiply = &MultiplyR16<format, Simd, Tiles>,
          }};
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_INT8_TILES_H_
