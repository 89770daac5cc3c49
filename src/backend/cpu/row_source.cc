#include "backend/cpu/row_source.h"

#include <algorithm>

#include "backend/cpu/gemm.h"
#include "base/check.h"
#include "base/file.h"

namespace puna::backend::cpu {
namespace {

// Read at a time: stays in the second-level cache until it is packed.
constexpr int64_t kPieceBytes = 256 * 1024;

thread_local AlignedBytes piece;

bool Reserve(int64_t bytes) {
  if (piece.size_bytes() < bytes) piece = AlignedBytes(std::max(bytes, kPieceBytes));
  return piece.size_bytes() >= bytes;
}

}  // namespace

const uint8_t* RowSource::Copy(const Weight& part, int64_t row, int64_t count, int64_t part_end) {
  const int64_t row_bytes = part.RowBytes();
  const bool dense = part.row_stride_bytes == 0 || part.row_stride_bytes == row_bytes;
  if (part.file == nullptr || !dense) return nullptr;
  if (held_ != &part || row < held_begin_ || row + count > held_end_) {
    held_ = nullptr;
    if (!Reserve(count * row_bytes)) return nullptr;
    const int64_t fit = std::max(count, kPieceBytes / row_bytes);
    const int64_t rows = std::min(fit, part_end - row);
    const uint8_t* first = part.Row(expert_, row);
    const std::span<const uint8_t> view(first, static_cast<size_t>(rows * row_bytes));
    if (!part.file->Read(view, piece.data())) return nullptr;
    held_ = &part;
    held_begin_ = row;
    held_end_ = row + rows;
  }
  return piece.data() + (row - held_begin_) * row_bytes;
}

void RowSource::Get(int64_t row, int64_t count, const uint8_t** blocks) {
  int64_t first = 0;  // of the part, among the stacked rows
  for (const Weight* part : parts_) {
    const int64_t end = std::min(first + part->rows, row + count);
    if (row < end) {
      // Where parts meet within a call there is one copy too many for the thread's memory.
      const bool whole = row + count == end;
      const int64_t rows = end - row, part_end = std::min(part->rows, end_ - first);
      const uint8_t* copy = whole ? Copy(*part, row - first, rows, part_end) : nullptr;
      for (int64_t i = 0; i < rows; ++i) {
        *blocks++ =
            copy != nullptr ? copy + i * part->RowBytes() : part->Row(expert_, row - first + i);
      }
      row = end;
      count -= rows;
      if (count == 0) return;
    }
    first += part->rows;
  }
  CHECK(false) << "row past the end of the stacked parts";
}

void DecodeRows(const Weight& weight, int64_t expert, int64_t row, int64_t count, float* out) {
  const Weight* part = &weight;
  RowSource source({&part, 1}, expert, row + count);
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* blocks = nullptr;
    source.Get(row + i, 1, &blocks);
    quant::TraitsOf(weight.type).decode(blocks, weight.cols, out + i * weight.cols);
  }
}

}  // namespace puna::backend::cpu
