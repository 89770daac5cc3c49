// From a plan to steps. The list of ops is walked once; each rule below takes the op at hand, and
// whatever else it can join with it, and appends a step. A new fusion is a new rule: one file with
// one function, and one line in compiler.cc.
#ifndef PUNA_BACKEND_CPU_COMPILER_H_
#define PUNA_BACKEND_CPU_COMPILER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/buffer_layout.h"
#include "backend/cpu/cpu_step.h"
#include "backend/cpu/row_ops.h"
#include "backend/cpu/weight_store.h"
#include "backend/plan.h"
#include "base/result.h"

namespace puna::backend::cpu {

// Where the tiles of a cache layer lie in a page: those of kv head h at `offset` + h * head_bytes.
struct KvLayer {
  int64_t offset = 0;
  int64_t head_bytes = 0;
  KvNumbers numbers = KvNumbers::kF32;
};

// What the blocks of one list in Pass::query_blocks have in common.
struct QueryBlockList {
  int64_t tokens;     // of a block at most
  bool outputs_only;  // only tokens that outputs were asked for are in blocks; else all
  bool operator==(const QueryBlockList&) const = default;
};

// A compiled plan without memory.
struct CompiledPlan {
  std::vector<std::unique_ptr<Step>> steps;
  size_t encoder_steps = 0;  // so many at the beginning are the pass of an encoder
  BufferLayout buffers;
  std::vector<RopeTable> rope_tables;  // without cos and sin
  std::vector<RouteSlot> routes;       // without memory
  std::vector<QueryBlockList> query_block_lists;
  std::vector<KvLayer> kv_layers;
  int64_t kv_page_bytes = 0;
  int64_t low_rank_slots = 0;          // the most that a step needs per row
  std::vector<int64_t> state_offsets;  // of each state layer in a slot, in floats
  int64_t state_slot_bytes = 0;
  RowKind output_rows = RowKind::kTokens;
  // The output buffer is only touched in the rows of the output, so it can be the caller's memory.
  bool output_in_place = false;
};

class CompileContext {
 public:
  CompileContext(const Plan* plan, WeightStore* weights, const CompileOptions& options, Isa isa,
                 int threads);

  const Plan& plan() const { return *plan_; }
  WeightStore* weights() const { return weights_; }
  const CompileOptions& options() const { return options_; }
  int threads() const { return threads_; }
  int64_t max_rows() const { return options_.max_batch_tokens; }

  RowKind rows() const { return rows_; }
  const Op& op(size_t index) const { return plan_->ops[index]; }
  bool taken(size_t index) const { return taken_[index]; }
  void Take(size_t index) {
    taken_[index] = true;
    unplaced_.push_back(index);
  }
  // The next op from `index` on that is not taken, up to end().
  size_t NextFree(size_t index) const;
  // Of the ops that make one pass with the op at hand.
  size_t end() const { return end_; }

  // RowOps that no step has yet, in plan order, and the views that they write.
  RowOps TakePending();
  // Removes and returns the pending ops from `index` on.
  RowOps TakePendingFrom(size_t index);
  const std::vector<size_t>& pending_ops() const { return pending_ops_; }
  // Makes a step of them.
  void FlushPending();

  RowOpContext row_op_context();
  void AddStep(std::unique_ptr<Step> step) { compiled_.steps.push_back(std::move(step)); }
  // The number of such a list in Pass::query_blocks.
  int QueryBlocks(QueryBlockList list);
  const KvLayer& kv_layer(int index) const {
    return compiled_.kv_layers[static_cast<size_t>(index)];
  }

  // Where state layer `index` begins in a slot, in floats; -1 for -1.
  int64_t state_offset(int index) const {
    return index < 0 ? -1 : compiled_.state_offsets[static_cast<size_t>(index)];
  }

  Result<CompiledPlan> Compile();

 private:
  Status CompilePass(size_t begin, size_t end);
  Status TakeRowOp(size_t index);
  void EndTurn();
  int RopeTableOf(const RopeOp& op);
  void LayOutPages();
  void LayOutStates();
  void NoteOutputAccess(const Op& op);

  const Plan* plan_;
  WeightStore* weights_;
  const CompileOptions& options_;
  Isa isa_;
  int threads_;
  RowKind rows_ = RowKind::kTokens;
  std::vector<bool> taken_;
  std::vector<size_t> unplaced_;  // taken, but in no turn yet
  // Each turn of CompilePass: the ops that are in steps since then.
  std::vector<std::vector<size_t>> turns_;
  size_t end_ = 0;
  RowOps pending_;
  std::vector<size_t> pending_ops_;
  bool output_accessed_[kRowKinds] = {};
  CompiledPlan compiled_;
};

// The rules. Each looks at op(index), which is free, and returns whether it took it.
Result<bool> CompileMatMul(CompileContext* context, size_t index);
Result<bool> CompileHeadMatMul(CompileContext* context, size_t index);
Result<bool> CompileAttention(CompileContext* context, size_t index);
Result<bool> CompileStore(CompileContext* context, size_t index);
Result<bool> CompileIndex(CompileContext* context, size_t index);
Result<bool> CompileExperts(CompileContext* context, size_t index);
Result<bool> CompileRecurrent(CompileContext* context, size_t index);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_COMPILER_H_
