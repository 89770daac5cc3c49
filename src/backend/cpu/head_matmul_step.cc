// A matrix product per head: one loop over (head, block of rows) brings the inputs into the form
// that the weights want, one over (head, tiles of output columns) multiplies.
#include <algorithm>
#include <vector>

#include "backend/cpu/compiler.h"
#include "backend/cpu/low_rank.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kChunkBytes = 64 * 1024;
constexpr int64_t kPrepareRows = 4 * kInputTokenGranularity;

class HeadMatMulStep final : public Step {
 public:
  HeadMatMulStep(const HeadMatMulOp& op, RowKind rows, std::vector<const PackedMatrix*> heads,
                 int64_t max_rows)
      : op_(op), rows_(rows), heads_(std::move(heads)) {
    const PackedMatrix& first = *heads_[0];
    tiles_per_chunk_ = TilesAtOnce(first.tile_bytes, kChunkBytes);
    chunks_ = DivideUp(first.tiles(), tiles_per_chunk_);
    low_rank_slots = Heads();
    shared_scratch_bytes = Heads() * InputBytes(first.input, max_rows, first.cols);
  }

  void Run(const Pass& pass, Worker& worker) const override {
    const int64_t rows = pass.RowsOf(rows_);
    if (rows == 0) return;
    const int64_t head_bytes = InputBytes(heads_[0]->input, rows, heads_[0]->cols);
    const int64_t blocks = DivideUp(rows, kPrepareRows);
    worker.For(Heads() * blocks, [&](int64_t index) {
      const int64_t head = index / blocks, begin = index % blocks * kPrepareRows;
      PrepareInput(*heads_[static_cast<size_t>(head)], pass.Row(op_.in, 0) + head * op_.in_stride,
                   pass.Stride(op_.in), begin, std::min(begin + kPrepareRows, rows), rows,
                   pass.shared_scratch + head * head_bytes);
    });
    if (pass.observer != nullptr) worker.Once([&] { Tell(pass, rows); });
    worker.For(Heads() * chunks_, [&](int64_t index) {
      const int64_t head = index / chunks_, begin = index % chunks_ * tiles_per_chunk_;
      const PackedMatrix& matrix = *heads_[static_cast<size_t>(head)];
      Multiply(matrix, pass.shared_scratch + head * head_bytes, rows, begin,
               std::min(begin + tiles_per_chunk_, matrix.tiles()),
               pass.Row(op_.out, 0) + head * op_.out_stride, pass.Stride(op_.out));
    });
    if (!Changes(pass, op_.weight)) return;
    worker.For(Heads() * rows, [&](int64_t index) {
      const int64_t head = index / rows, row = index % rows;
      const PackedMatrix& matrix = *heads_[static_cast<size_t>(head)];
      const Segment& segment = pass.SegmentOf(rows_, row);
      float* slot = pass.low_rank.Slot(row * Heads() + head);
      ReduceRow(pass, segment, op_.weight, head, pass.Row(op_.in, row) + head * op_.in_stride, 1,
                slot);
      ExpandRow(pass, segment, op_.weight, head, slot, 0, matrix.rows,
                pass.Row(op_.out, row) + head * op_.out_stride);
    });
  }

 private:
  int64_t Heads() const { return static_cast<int64_t>(heads_.size()); }

  void Tell(const Pass& pass, int64_t rows) const {
    for (int64_t head = 0; head < Heads(); ++head) {
      pass.observer->Observe(
          op_.weight, head,
          {pass.Row(op_.in, 0) + head * op_.in_stride, rows, heads_[0]->cols, pass.Stride(op_.in)});
    }
  }

  HeadMatMulOp op_;
  RowKind rows_;
  std::vector<const PackedMatrix*> heads_;
  int64_t tiles_per_chunk_ = 1, chunks_ = 0;
};

}  // namespace

Result<bool> CompileHeadMatMul(CompileContext* context, size_t index) {
  const auto* op = std::get_if<HeadMatMulOp>(&context->op(index));
  if (op == nullptr) return false;
  context->FlushPending();
  std::vector<const PackedMatrix*> heads;
  for (int64_t head = 0; head < context->weights()->weight(op->weight).experts; ++head) {
    PUNA_ASSIGN_OR_RETURN(const PackedMatrix* matrix, context->weights()->Matrix(op->weight, head));
    heads.push_back(matrix);
  }
  context->Take(index);
  context->AddStep(std::make_unique<HeadMatMulStep>(*op, context->rows(), std::move(heads),
                                                    context->max_rows()));
  return true;
}

}  // namespace puna::backend::cpu
