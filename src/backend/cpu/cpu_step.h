// What a plan becomes: a list of steps that all workers walk through together. A step is one or two
// shared loops; the fewer steps, the fewer barriers. Which ops end up in one step is decided once,
// in compiler.cc.
//
// Two kinds of work are told apart. A RowOp touches each row (token) by itself: norms, rotations,
// activations, residual sums. Any number of them in a row of the plan run as one loop over blocks
// of rows, in front of a matrix product that also prepares its input there, or, those that can work
// on some columns only, right behind it on the columns that a worker has just computed. The rest
// are steps of their own: matrix products, attention, experts.
#ifndef PUNA_BACKEND_CPU_CPU_STEP_H_
#define PUNA_BACKEND_CPU_CPU_STEP_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/vector_ops.h"
#include "backend/input_observer.h"
#include "backend/plan.h"

namespace puna::backend::cpu {

// What the rows of an op are.
enum class RowKind { kTokens, kOutputs, kSegments };
inline constexpr int kRowKinds = 3;

// The experts that one RouteOp chose: [tokens][used].
struct RouteSlot {
  int64_t used = 0, experts = 0;
  int32_t* chosen = nullptr;
  float* weights = nullptr;
};

// cos and sin of position * inverse_frequency[i], times magnitude: [tokens][pairs] each.
struct RopeTable {
  int64_t pairs = 0;
  const float* inverse_frequency = nullptr;
  float magnitude = 1;
  float* cos = nullptr;
  float* sin = nullptr;
};

// Query tokens of one segment that one unit of attention takes together.
struct QueryBlock {
  int32_t segment = 0;
  int32_t first_token = 0;  // within the segment
  int32_t tokens = 0;
};

// Memory for the narrow values of one step: Step::low_rank_slots per row, each of `slot_floats`.
struct LowRankScratch {
  float* values = nullptr;
  int64_t slot_floats = 0;

  float* Slot(int64_t index) const { return values + index * slot_floats; }
};

// One Run in progress. The same for all workers, constant while they work, but for what the
// pointers lead to.
struct Pass {
  const Batch* batch = nullptr;
  const VectorOps* ops = nullptr;
  int64_t rows[kRowKinds] = {};
  std::span<float* const> buffers;          // of the plan
  std::span<const int64_t> buffer_strides;  // floats from row to row
  std::span<const int64_t> positions;       // [tokens]
  std::span<const int32_t> segments;        // [tokens]: the segment of each
  // [segments + 1]: pages that the keys of the segments before fill, if each begins a page.
  std::span<const int64_t> key_pages;
  std::span<const RouteSlot> routes;
  std::span<uint64_t* const> selections;  // by slot: a bit per key, [tokens][selection_words]
  int64_t selection_words = 0;
  std::span<const RopeTable> rope_tables;
  std::span<const std::vector<QueryBlock>> query_blocks;  // by AttentionStep::blocks
  uint8_t* kv_pool = nullptr;
  int64_t kv_page_bytes = 0;
  float* state_pool = nullptr;
  int64_t state_slot_floats = 0;
  uint8_t* shared_scratch = nullptr;  // of the step that runs
  uint8_t* worker_scratch = nullptr;  // of worker 0; the others' follow
  int64_t worker_scratch_bytes = 0;
  LowRankScratch low_rank;  // without slots: no segment has adapters
  InputObserver* observer = nullptr;

  // The segment of a row.
  const Segment& SegmentOf(RowKind kind, int64_t row) const {
    if (kind == RowKind::kOutputs) row = batch->output_rows[static_cast<size_t>(row)];
    const int64_t segment = kind == RowKind::kSegments ? row : segments[static_cast<size_t>(row)];
    return batch->segments[static_cast<size_t>(segment)];
  }
  int64_t RowsOf(RowKind kind) const { return rows[static_cast<int>(kind)]; }
  float* Row(const View& view, int64_t row) const {
    return buffers[view.buffer] + row * buffer_strides[view.buffer] + view.offset;
  }
  int64_t Stride(const View& view) const { return buffer_strides[view.buffer]; }
  uint8_t* ScratchOf(const Worker& worker) const {
    return worker_scratch + worker.index() * worker_scratch_bytes;
  }
};

// Rows [row_begin, row_end) and, of ops that can split them, columns [column_begin, column_end).
struct Block {
  int64_t row_begin = 0, row_end = 0;
  int64_t column_begin = 0, column_end = 0;
};

class RowOp {
 public:
  virtual ~RowOp() = default;
  virtual void Run(const Pass& pass, const Block& block, float* scratch) const = 0;
  // Columns that it writes per row, and the multiple at which a block's columns may begin and end
  // (width: not divisible).
  int64_t width = 0;
  int64_t column_unit = 0;
  // What Run needs of its worker's scratch.
  int64_t scratch_floats = 0;
};
using RowOps = std::vector<std::unique_ptr<RowOp>>;

// Runs the ops one after the other on whole rows.
void RunRows(const RowOps& ops, const Pass& pass, int64_t row_begin, int64_t row_end,
             float* scratch);

class Step {
 public:
  virtual ~Step() = default;
  // Called by all workers.
  virtual void Run(const Pass& pass, Worker& worker) const = 0;
  // What it needs of scratch, set when it is made.
  int64_t shared_scratch_bytes = 0;
  int64_t worker_scratch_bytes = 0;
  int64_t low_rank_slots = 0;  // per row
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_CPU_STEP_H_
