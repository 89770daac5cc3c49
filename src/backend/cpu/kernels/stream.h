// The int8 product for few tokens: levels go from memory through registers into the dot products,
// without the panel in between (r16_panel.h). Unpacking for one token costs a panel twice its
// stores; here memory alone sets the pace of generation.
//
// The groups of a tile alternate chunk by chunk, and tiles are consecutive in memory, so a core
// reads one ascending stream, which the processor's prefetchers follow across chunks and tiles.
// Integer sums are exact and the float operations are those of the tile kernel, in its order: both
// kernels give the same bits, whichever the number of tokens selects.
//
// A unit of an instruction set brings its tile, the product of a chunk of one group with kTokens
// tokens:
//   Tile<format, kTokens>::Run(chunk, cols, input, sums)     sums[token][16] += chunk
//   Tile<format, kTokens>::kShape
#ifndef PUNA_BACKEND_CPU_KERNELS_STREAM_H_
#define PUNA_BACKEND_CPU_KERNELS_STREAM_H_

#include "backend/cpu/kernels/int8_tiles.h"

namespace puna::backend::cpu {
namespace {

// The start plane holds the sums of the input times -128; levels as stored are a smaller power of
// two above their values.
template <const R16Format& format>
constexpr int StartShift() {
  if (format.lookup != R16Lookup::kNone) return 0;
  int shift = 0;
  while (format.offset << shift < 128) ++shift;
  return shift;
}

template <const R16Format& format, template <const R16Format&, int> typename Tile, int kTokens>
void RunStream(const MultiplyTask& task) {
  using TileOfTokens = Tile<format, kTokens>;
  alignas(64) float sums[kTileGroups][kTokens * kGroupRows];
  const int64_t chunks = ChunkCount(task.cols);
  for (int64_t row = 0; row < task.rows; row += kTileRows) {
    const uint8_t* chunk = task.tiles + row / kTileRows * task.tile_bytes;
    const int64_t groups = task.rows - row > kGroupRows ? kTileGroups : 1;
    ChunkInput input = InputOf<TileOfTokens::kShape>(task.input, kTokens, task.cols, 0, 0);
    std::memset(sums, 0, sizeof(sums));
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t cols = c + 1 < chunks ? kChunk : task.cols - c * kChunk;
      const int64_t bytes = PartsOf<format>(cols).bytes;
      for (int64_t g = 0; g < groups; ++g)
        TileOfTokens::Run(chunk + g * bytes, cols, input, sums[g]);
      chunk += kTileGroups * bytes;
      Advance<TileOfTokens::kShape>(kTokens, &input);
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = row + g * kGroupRows;
      StoreSums<kGroupRows>(sums[g], kTokens, task.rows - first, task.out + first, task.out_stride);
    }
  }
}

// REQUIRES: task.tokens <= kMaxTokens, the most that a unit has a tile for.
template <const R16Format& format, template <const R16Format&, int> typename Tile, int kMaxTokens>
void MultiplyStream(const MultiplyTask& task) {
  if constexpr (kMaxTokens > 1) {
    if (task.tokens < kMaxTokens) return MultiplyStream<format, Tile, kMaxTokens - 1>(task);
  }
  RunStream<format, Tile, kMaxTokens>(task);
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_STREAM_H_
