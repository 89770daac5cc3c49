// Matrix products that share an input: q, k and v; gate and up; a router beside a shared expert.
// One loop over blocks of rows runs the RowOps that lead to the input and brings it into the form
// that the packed weights want, once; one loop over tiles of output columns multiplies, adds
// biases, and runs the RowOps behind on the columns that are still in the cache. So a feed-forward
// is two of these steps and the whole attention block two and one of attention: four loops of
// products a layer.
//
// Products that share an input are collected even if other ops stand between them in the plan, as
// long as none of these would notice.
#include <algorithm>

#include "backend/cpu/compiler.h"
#include "backend/cpu/low_rank.h"
#include "backend/plan_access.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// How far ahead products of the same input are looked for.
constexpr size_t kLookAhead = 16;

// Weights that one chunk reads. Large enough that the kernels run several streams of a few KiB each
// and the shared counter does not matter, small enough that the last chunk does not keep the other
// threads waiting.
constexpr int64_t kMinChunkBytes = 32 * 1024;
constexpr int64_t kMaxChunkBytes = 192 * 1024;
constexpr int64_t kChunksPerThread = 12;

struct Product {
  const PackedMatrix* matrix;
  View out;
  const float* bias;
  size_t input;
  WeightId weight;
};

// The input in the form of one InputFormat.
struct Prepared {
  const PackedMatrix* like;
  int64_t offset_bytes;  // in the shared scratch
};

// Products whose columns advance together, because an op behind them reads them all.
struct Task {
  std::vector<size_t> products;
  RowOps behind;
  std::vector<View> written;  // by products and ops
  std::vector<View> read;     // by ops, not written here
  int64_t tiles = 0, tiles_per_chunk = 0, chunks = 0;
};

int64_t TileBytes(const Task& task, const std::vector<Product>& products) {
  int64_t bytes = 0;
  for (const size_t index : task.products) bytes += products[index].matrix->tile_bytes;
  return bytes;
}

class MatMulStep final : public Step {
 public:
  RowKind rows = RowKind::kTokens;
  View in;
  RowOps before;
  std::vector<Prepared> inputs;
  std::vector<Product> products;
  std::vector<Task> tasks;

  // Fixes chunks and scratch once everything is collected.
  void Finish(int threads, int64_t max_rows) {
    int64_t total_bytes = 0;
    for (const Product& product : products)
      total_bytes += product.matrix->tiles() * product.matrix->tile_bytes;
    const int64_t target =
        std::clamp(total_bytes / (threads * kChunksPerThread), kMinChunkBytes, kMaxChunkBytes);
    for (Task& task : tasks) {
      task.tiles = products[task.products[0]].matrix->tiles();
      task.tiles_per_chunk = TilesAtOnce(TileBytes(task, products), target);
      task.chunks = (task.tiles + task.tiles_per_chunk - 1) / task.tiles_per_chunk;
      chunks_ += task.chunks;
    }
    for (Prepared& input : inputs) {
      input.offset_bytes = shared_scratch_bytes;
      shared_scratch_bytes += InputBytes(input.like->input, max_rows, input.like->cols);
    }
    low_rank_slots = static_cast<int64_t>(products.size());
    for (const auto& op : before) {
      worker_scratch_bytes =
          std::max(worker_scratch_bytes, op->scratch_floats * static_cast<int64_t>(sizeof(float)));
    }
  }

  void Run(const Pass& pass, Worker& worker) const override {
    const int64_t row_count = pass.RowsOf(rows);
    if (row_count == 0) return;
    const int64_t units = DivideUp(row_count, kInputTokenGranularity);
    const int64_t per_block =
        std::clamp<int64_t>(units / (4 * worker.count()), 1, 16) * kInputTokenGranularity;
    worker.For(DivideUp(row_count, per_block), [&](int64_t block) {
      const int64_t begin = block * per_block, end = std::min(begin + per_block, row_count);
      RunRows(before, pass, begin, end, reinterpret_cast<float*>(pass.ScratchOf(worker)));
      for (const Prepared& input : inputs) {
        PrepareInput(*input.like, pass.Row(in, 0), pass.Stride(in), begin, end, row_count,
                     pass.shared_scratch + input.offset_bytes);
      }
    });
    if (pass.observer != nullptr) worker.Once([&] { Tell(pass, row_count); });
    ReduceRows(pass, worker, row_count);
    worker.ForStreams(chunks_, [&](int64_t chunk) {
      for (const Task& task : tasks) {
        if (chunk < task.chunks) return RunChunk(pass, task, chunk, row_count);
        chunk -= task.chunks;
      }
    });
  }

 private:
  void Tell(const Pass& pass, int64_t row_count) const {
    for (const Product& product : products) {
      pass.observer->Observe(product.weight, 0,
                             {pass.Row(in, 0), row_count, in.width, pass.Stride(in)});
    }
  }

  // What adapters need of the input. Row `row` of product `p` has slot row * products + p.
  void ReduceRows(const Pass& pass, Worker& worker, int64_t row_count) const {
    const auto count = static_cast<int64_t>(products.size());
    const bool changed = std::any_of(products.begin(), products.end(), [&](const Product& product) {
      return Changes(pass, product.weight);
    });
    if (!changed) return;
    worker.For(row_count * count, [&](int64_t index) {
      const int64_t row = index / count;
      ReduceRow(pass, pass.SegmentOf(rows, row),
                products[static_cast<size_t>(index % count)].weight, 0, pass.Row(in, row), 1,
                pass.low_rank.Slot(index));
    });
  }

  void RunChunk(const Pass& pass, const Task& task, int64_t chunk, int64_t row_count) const {
    const int64_t tile_begin = chunk * task.tiles_per_chunk;
    const int64_t tile_end = std::min(tile_begin + task.tiles_per_chunk, task.tiles);
    int64_t column_begin = 0, column_end = 0;
    for (const size_t index : task.products) {
      const Product& product = products[index];
      const PackedMatrix& matrix = *product.matrix;
      column_begin = tile_begin * matrix.tile_rows;
      column_end = std::min(tile_end * matrix.tile_rows, matrix.rows);
      Multiply(matrix, pass.shared_scratch + inputs[product.input].offset_bytes, row_count,
               tile_begin, tile_end, pass.Row(product.out, 0), pass.Stride(product.out));
      for (int64_t row = 0; product.bias != nullptr && row < row_count; ++row) {
        float* out = pass.Row(product.out, row) + column_begin;
        pass.ops->add(out, product.bias + column_begin, 1, column_end - column_begin, out);
      }
      if (!Changes(pass, product.weight)) continue;
      const auto slots = static_cast<int64_t>(products.size());
      for (int64_t row = 0; row < row_count; ++row) {
        ExpandRow(pass, pass.SegmentOf(rows, row), product.weight, 0,
                  pass.low_rank.Slot(row * slots + static_cast<int64_t>(index)), column_begin,
                  column_end, pass.Row(product.out, row));
      }
    }
    for (const auto& op : task.behind)
      op->Run(pass, {0, row_count, column_begin, column_end}, nullptr);
  }

  int64_t chunks_ = 0;
};

bool SameAsAny(const View& view, const std::vector<View>& others) {
  return std::any_of(others.begin(), others.end(),
                     [&](const View& other) { return Same(view, other); });
}

Status AddProduct(CompileContext* context, const MatMulOp& op, MatMulStep* step) {
  PUNA_ASSIGN_OR_RETURN(const PackedMatrix* matrix, context->weights()->Matrix(op.weight));
  PUNA_ASSIGN_OR_RETURN(const float* bias, context->weights()->Vector(op.bias));
  size_t input = 0;
  while (input < step->inputs.size() && step->inputs[input].like->input != matrix->input) ++input;
  if (input == step->inputs.size()) step->inputs.push_back({matrix, 0});
  Task task;
  task.products.push_back(step->products.size());
  task.written.push_back(op.out);
  step->products.push_back({matrix, op.out, bias, input, op.weight});
  step->tasks.push_back(std::move(task));
  return {};
}

// Takes the products of `in` that follow `index` and can be computed here already.
Status CollectProducts(CompileContext* context, size_t index, MatMulStep* step) {
  std::vector<View> skipped_reads, skipped_writes;
  const size_t end = std::min(index + kLookAhead, context->end());
  for (size_t i = context->NextFree(index + 1); i < end; i = context->NextFree(i + 1)) {
    const Op& op = context->op(i);
    if (std::holds_alternative<SelectRowsOp>(op) || std::holds_alternative<PoolOp>(op)) break;
    const auto* product = std::get_if<MatMulOp>(&op);
    bool fits = product != nullptr && Same(product->in, step->in) &&
                !OverlapsAny(product->out, skipped_reads) &&
                !OverlapsAny(product->out, skipped_writes);
    for (const Task& task : step->tasks) fits = fits && !OverlapsAny(product->out, task.written);
    if (fits) {
      PUNA_RETURN_IF_ERROR(AddProduct(context, *product, step));
      context->Take(i);
      continue;
    }
    const OpAccess access = AccessOf(op);
    if (OverlapsAny(step->in, access.writes)) break;
    skipped_reads.insert(skipped_reads.end(), access.reads.begin(), access.reads.end());
    skipped_writes.insert(skipped_writes.end(), access.writes.begin(), access.writes.end());
  }
  return {};
}

// May `access` run on a range of columns as soon as the tasks in `own` have computed them? If so,
// returns true and leaves these tasks merged into the first of them.
bool JoinTasks(const OpAccess& access, MatMulStep* step, size_t* joined) {
  std::vector<size_t> own;
  for (size_t t = 0; t < step->tasks.size(); ++t) {
    const Task& task = step->tasks[t];
    const bool reads_it =
        std::any_of(access.reads.begin(), access.reads.end(),
                    [&](const View& view) { return OverlapsAny(view, task.written); });
    if (reads_it) own.push_back(t);
  }
  if (own.empty()) return false;
  const PackedMatrix& first = *step->products[step->tasks[own[0]].products[0]].matrix;
  std::vector<View> written;
  for (const size_t t : own) {
    const PackedMatrix& matrix = *step->products[step->tasks[t].products[0]].matrix;
    if (matrix.rows != first.rows || matrix.tile_rows != first.tile_rows) return false;
    written.insert(written.end(), step->tasks[t].written.begin(), step->tasks[t].written.end());
  }
  const View& out = access.writes[0];
  if (out.width != first.rows) return false;
  for (const View& view : access.reads) {
    if (view.width != first.rows) return false;
    if (!SameAsAny(view, written) && OverlapsAny(view, written)) return false;
    if (!Same(view, out) && Overlap(view, out)) return false;
  }
  if (!SameAsAny(out, written) && OverlapsAny(out, written)) return false;
  for (size_t t = 0; t < step->tasks.size(); ++t) {
    const Task& task = step->tasks[t];
    if (std::find(own.begin(), own.end(), t) != own.end()) {
      for (const View& view : task.read) {
        if (!Same(view, out) && Overlap(view, out)) return false;
      }
    } else if (OverlapsAny(out, task.written) || OverlapsAny(out, task.read)) {
      return false;
    }
  }
  for (size_t i = own.size(); i-- > 1;) {
    Task& from = step->tasks[own[i]];
    Task& to = step->tasks[own[0]];
    to.products.insert(to.products.end(), from.products.begin(), from.products.end());
    for (auto& op : from.behind) to.behind.push_back(std::move(op));
    to.written.insert(to.written.end(), from.written.begin(), from.written.end());
    to.read.insert(to.read.end(), from.read.begin(), from.read.end());
    step->tasks.erase(step->tasks.begin() + static_cast<ptrdiff_t>(own[i]));
  }
  *joined = own[0];
  return true;
}

// Takes the ops right behind the products that work column by column.
Status CollectBehind(CompileContext* context, size_t index, MatMulStep* step) {
  for (size_t i = context->NextFree(index); i < context->end(); i = context->NextFree(i)) {
    const Op& op = context->op(i);
    const bool columnwise =
        std::holds_alternative<UnaryOp>(op) || std::holds_alternative<GatedOp>(op) ||
        std::holds_alternative<AddOp>(op) || std::holds_alternative<MulOp>(op) ||
        std::holds_alternative<ScaleOp>(op);
    if (!columnwise) return {};
    const OpAccess access = AccessOf(op);
    size_t joined = 0;
    if (!JoinTasks(access, step, &joined)) return {};
    PUNA_ASSIGN_OR_RETURN(std::unique_ptr<RowOp> made, MakeRowOp(op, context->row_op_context()));
    CHECK(made->column_unit == 1) << OpName(op);
    Task& task = step->tasks[joined];
    for (const View& view : access.reads) {
      if (!SameAsAny(view, task.written)) task.read.push_back(view);
    }
    if (!SameAsAny(access.writes[0], task.written)) task.written.push_back(access.writes[0]);
    task.behind.push_back(std::move(made));
    context->Take(i);
  }
  return {};
}

}  // namespace

Result<bool> CompileMatMul(CompileContext* context, size_t index) {
  const auto* op = std::get_if<MatMulOp>(&context->op(index));
  if (op == nullptr) return false;
  auto step = std::make_unique<MatMulStep>();
  step->rows = context->rows();
  step->in = op->in;
  step->before = context->TakePending();
  PUNA_RETURN_IF_ERROR(AddProduct(context, *op, step.get()));
  context->Take(index);
  PUNA_RETURN_IF_ERROR(CollectProducts(context, index, step.get()));
  PUNA_RETURN_IF_ERROR(CollectBehind(context, index, step.get()));
  step->Finish(context->threads(), context->max_rows());
  context->AddStep(std::move(step));
  return true;
}

}  // namespace puna::backend::cpu
