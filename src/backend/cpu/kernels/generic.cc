// The panel is transposed to [column][row], so that the sixteen rows are the lanes of the product
// and its result needs no sum across lanes. Decoding is quant's own scalar code: exact by
// construction, and its cost is shared by up to kTokenBlock tokens. With one token it dominates; a
// type for which that matters gets kernels of its own.
#include "backend/cpu/kernels/generic.h"

#include <algorithm>
#include <cstring>

namespace puna::backend::cpu {
namespace {

constexpr int64_t kTokenBlock =
    128;  // 8 KiB of sums: they share the first-level cache with the 16 KiB panel

int64_t RowBytes(const quant::TypeTraits& traits, int64_t cols) {
  return cols / traits.block_elements * traits.block_bytes;
}

// panel[k][row] for columns [chunk * kChunk, + count) of `rows` rows; the panel's other rows are
// not touched.
void DecodePanel(const quant::TypeTraits& traits, const uint8_t* group, int64_t rows, int64_t cols,
                 int64_t chunk, int64_t count, float* panel) {
  alignas(64) float values[kChunk];
  const int64_t row_bytes = RowBytes(traits, cols);
  const int64_t chunk_offset = RowBytes(traits, chunk * kChunk);
  for (int64_t row = 0; row < rows; ++row) {
    traits.decode(group + row * row_bytes + chunk_offset, count, values);
    for (int64_t k = 0; k < count; ++k) panel[k * kGroupRows + row] = values[k];
  }
}

}  // namespace

int64_t GenericTileBytes(const quant::TypeTraits& traits, int64_t cols) {
  return (kTileRows * RowBytes(traits, cols) + 63) / 64 * 64;
}

void GenericPack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks, int64_t rows,
                 int64_t cols, uint8_t* tile) {
  const int64_t row_bytes = RowBytes(traits, cols);
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(tile + row * row_bytes, row_blocks[row], row_bytes);
}

void GenericUnpack(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row, int64_t cols,
                   uint8_t* row_blocks) {
  const int64_t row_bytes = RowBytes(traits, cols);
  std::memcpy(row_blocks, tile + row * row_bytes, row_bytes);
}

void GenericMultiply(const MultiplyTask& task, PanelFn multiply_panel) {
  alignas(64) float panel[kChunk * kGroupRows] = {};
  alignas(64) float sums[kTokenBlock * kGroupRows];
  const auto* input = reinterpret_cast<const float*>(task.input);
  for (int64_t first = 0; first < task.tokens; first += kTokenBlock) {
    const int64_t tokens = std::min(kTokenBlock, task.tokens - first);
    for (int64_t row = 0; row < task.rows; row += kGroupRows) {
      const uint8_t* group = task.tiles + row / kTileRows * task.tile_bytes +
                             row % kTileRows * RowBytes(*task.traits, task.cols);
      const int64_t rows = std::min(kGroupRows, task.rows - row);
      std::fill_n(sums, tokens * kGroupRows, 0.0f);
      for (int64_t chunk = 0; chunk < ChunkCount(task.cols); ++chunk) {
        const int64_t count = std::min(kChunk, task.cols - chunk * kChunk);
        DecodePanel(*task.traits, group, rows, task.cols, chunk, count, panel);
        multiply_panel(panel, count, input + (chunk * task.tokens + first) * kChunk, tokens, sums);
      }
      for (int64_t t = 0; t < tokens; ++t) {
        std::memcpy(task.out + (first + t) * task.out_stride + row, sums + t * kGroupRows,
                    rows * sizeof(float));
      }
    }
  }
}

}  // namespace puna::backend::cpu
