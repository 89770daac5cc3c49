#include "backend/cpu/compiler.h"

#include <algorithm>

#include "backend/plan_access.h"
#include "base/check.h"

namespace puna::backend::cpu {
namespace {

// Tried in this order; what none takes is a RowOp.
constexpr Result<bool> (*kRules[])(CompileContext*, size_t) = {
    CompileMatMul, CompileHeadMatMul, CompileAttention, CompileStore,
    CompileIndex,  CompileExperts,    CompileRecurrent};

// Pages of this size and more are made of whole pages of the system, so that they can be given
// back.
constexpr int64_t kReleasablePageBytes = 16 * 1024;
constexpr int64_t kSystemPageBytes = 4096;

}  // namespace

CompileContext::CompileContext(const Plan* plan, WeightStore* weights,
                               const CompileOptions& options, Isa isa, int threads)
    : plan_(plan),
      weights_(weights),
      options_(options),
      isa_(isa),
      threads_(threads),
      taken_(plan->ops.size()) {
  compiled_.routes.resize(static_cast<size_t>(plan->routes));
}

size_t CompileContext::NextFree(size_t index) const {
  while (index < end_ && taken_[index]) ++index;
  return index;
}

RowOps CompileContext::TakePending() { return TakePendingFrom(0); }

RowOps CompileContext::TakePendingFrom(size_t index) {
  RowOps tail;
  for (size_t i = index; i < pending_.size(); ++i) tail.push_back(std::move(pending_[i]));
  pending_.resize(index);
  pending_ops_.resize(index);
  return tail;
}

void CompileContext::FlushPending() {
  if (!pending_.empty()) AddStep(MakeRowStep(TakePending(), rows_, false));
}

RowOpContext CompileContext::row_op_context() {
  return {plan_, weights_, rows_,
          [](void* self, const RopeOp& op) {
            return static_cast<CompileContext*>(self)->RopeTableOf(op);
          },
          this};
}

// Layers mostly share their frequencies; equal tables are made once per pass.
int CompileContext::RopeTableOf(const RopeOp& op) {
  const auto pairs = static_cast<int64_t>(op.inverse_frequency.size());
  std::vector<RopeTable>& tables = compiled_.rope_tables;
  for (size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].pairs == pairs && tables[i].magnitude == op.magnitude &&
        std::equal(op.inverse_frequency.begin(), op.inverse_frequency.end(),
                   tables[i].inverse_frequency)) {
      return static_cast<int>(i);
    }
  }
  tables.push_back({.pairs = pairs,
                    .inverse_frequency = op.inverse_frequency.data(),
                    .magnitude = op.magnitude});
  return static_cast<int>(tables.size()) - 1;
}

int CompileContext::QueryBlocks(QueryBlockList list) {
  std::vector<QueryBlockList>& lists = compiled_.query_block_lists;
  const auto found = std::find(lists.begin(), lists.end(), list);
  if (found != lists.end()) return static_cast<int>(found - lists.begin());
  lists.push_back(list);
  return static_cast<int>(lists.size()) - 1;
}

void CompileContext::LayOutPages() {
  int64_t offset = 0;
  for (const CacheLayer& layer : plan_->cache_layers) {
    const KvNumbers numbers = KvNumbersOf(options_.kv_type, layer, isa_);
    const int64_t head_bytes =
        KTileBytes(numbers, layer.k_size) + VTileBytes(numbers, layer.v_size);
    compiled_.kv_layers.push_back({offset, head_bytes, numbers});
    offset += layer.kv_heads * head_bytes;
  }
  if (offset >= kReleasablePageBytes)
    offset = (offset + kSystemPageBytes - 1) / kSystemPageBytes * kSystemPageBytes;
  compiled_.kv_page_bytes = offset;
}

void CompileContext::LayOutStates() {
  constexpr int64_t kLineFloats = 16;
  int64_t floats = 0;
  for (const StateLayer& layer : plan_->state_layers) {
    compiled_.state_offsets.push_back(floats);
    floats += (layer.values + kLineFloats - 1) / kLineFloats * kLineFloats;
  }
  compiled_.state_slot_bytes = floats * static_cast<int64_t>(sizeof(float));
}

void CompileContext::NoteOutputAccess(const Op& op) {
  const OpAccess access = AccessOf(op);
  for (const std::vector<View>* views : {&access.reads, &access.writes}) {
    for (const View& view : *views) {
      if (view.buffer == plan_->output.buffer) output_accessed_[static_cast<int>(rows_)] = true;
    }
  }
}

Status CompileContext::TakeRowOp(size_t index) {
  const Op& op = plan_->ops[index];
  const bool selects = std::holds_alternative<SelectRowsOp>(op);
  const bool pools = std::holds_alternative<PoolOp>(op);
  if (selects || pools) {
    FlushPending();
    const View in = AccessOf(op).reads[0];
    if (in.buffer == plan_->output.buffer) output_accessed_[static_cast<int>(rows_)] = true;
    rows_ = selects ? RowKind::kOutputs : RowKind::kSegments;
  }
  if (const auto* route = std::get_if<RouteOp>(&op)) {
    compiled_.routes[static_cast<size_t>(route->route)].used =
        std::max(compiled_.routes[static_cast<size_t>(route->route)].used, route->used);
  }
  PUNA_ASSIGN_OR_RETURN(std::unique_ptr<RowOp> made, MakeRowOp(op, row_op_context()));
  CHECK(made != nullptr) << OpName(op);
  Take(index);
  pending_.push_back(std::move(made));
  pending_ops_.push_back(index);
  const auto* select = std::get_if<SelectRowsOp>(&op);
  if (select != nullptr && Overlap(select->in, select->out)) {
    // Rows move to lower numbers, so in place they must move one after the other.
    AddStep(MakeRowStep(TakePending(), rows_, true));
  }
  return {};
}

// What is still pending will be in a step of a later turn.
void CompileContext::EndTurn() {
  std::vector<size_t> turn;
  for (const size_t index : unplaced_) {
    if (std::find(pending_ops_.begin(), pending_ops_.end(), index) == pending_ops_.end())
      turn.push_back(index);
  }
  unplaced_ = pending_ops_;
  turns_.push_back(std::move(turn));
}

Status CompileContext::CompilePass(size_t begin, size_t end) {
  end_ = end;
  for (size_t index = NextFree(begin); index < end; index = NextFree(index)) {
    bool taken = false;
    for (const auto rule : kRules) {
      PUNA_ASSIGN_OR_RETURN(taken, rule(this, index));
      if (taken) break;
    }
    if (!taken) PUNA_RETURN_IF_ERROR(TakeRowOp(index));
    EndTurn();
  }
  FlushPending();
  EndTurn();
  return {};
}

Result<CompiledPlan> CompileContext::Compile() {
  LayOutPages();
  LayOutStates();
  PUNA_RETURN_IF_ERROR(CompilePass(0, plan_->encoder_ops));
  compiled_.encoder_steps = compiled_.steps.size();
  PUNA_RETURN_IF_ERROR(CompilePass(plan_->encoder_ops, plan_->ops.size()));

  rows_ = RowKind::kTokens;
  for (const Op& op : plan_->ops) {
    if (std::holds_alternative<SelectRowsOp>(op)) rows_ = RowKind::kOutputs;
    if (std::holds_alternative<PoolOp>(op)) rows_ = RowKind::kSegments;
    NoteOutputAccess(op);
  }
  const View& output = plan_->output;
  if (plan_->input.buffer == output.buffer)
    output_accessed_[static_cast<int>(RowKind::kTokens)] = true;
  compiled_.output_rows = rows_;
  compiled_.output_in_place =
      rows_ != RowKind::kTokens && output.offset == 0 &&
      output.width == plan_->buffer_widths[static_cast<size_t>(output.buffer)];
  for (int kind = 0; kind < kRowKinds; ++kind) {
    if (kind != static_cast<int>(rows_) && output_accessed_[kind])
      compiled_.output_in_place = false;
  }
  compiled_.buffers = LayOutBuffers(*plan_, turns_, compiled_.output_in_place ? output.buffer : -1);
  return std::move(compiled_);
}

}  // namespace puna::backend::cpu
