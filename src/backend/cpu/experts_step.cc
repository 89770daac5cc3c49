// Mixture of experts. The pairs (token, chosen expert) are sorted by expert, so that each expert
// that anybody chose is one small matrix product over its tokens and its weights are read once.
// Five loops: sort; gather and prepare the inputs; gate and up with the activation on the columns
// just computed; prepare; down; weighted sum per token. All loops run over all experts at once, so
// that generation with a few experts of one token each still keeps every thread busy.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "backend/cpu/compiler.h"
#include "backend/cpu/low_rank.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kChunkBytes = 64 * 1024;
constexpr int64_t kGatherRows = kInputTokenGranularity;

// A distance between rows that is no multiple of a large power of two, so that a column of rows
// spreads over the cache sets.
int64_t RowStride(int64_t width) { return RoundUp(width, 16) + 16; }

// An upper bound of the sum of InputBytes over at most `experts` experts that share `pairs` tokens.
int64_t SharedInputBytes(const PackedMatrix& matrix, int64_t pairs, int64_t experts) {
  const int64_t one = InputBytes(matrix.input, 1, matrix.cols);
  int64_t per_token = 0;  // the steepest growth from one token on
  for (int64_t n = 2; n <= pairs; ++n) {
    per_token =
        std::max(per_token, DivideUp(InputBytes(matrix.input, n, matrix.cols) - one, n - 1));
  }
  const int64_t most = std::min(experts, pairs);
  return std::max(most * one + (pairs - most) * per_token, one + (pairs - 1) * per_token);
}

// One of the matrices of all experts.
struct ExpertMatrices {
  std::vector<const PackedMatrix*> experts;
  const float* bias = nullptr;  // [experts][rows]
  int64_t tiles_per_chunk = 1, chunks = 0;

  const PackedMatrix& first() const { return *experts[0]; }
  void Divide() {
    tiles_per_chunk = TilesAtOnce(first().tile_bytes, kChunkBytes);
    chunks = DivideUp(first().tiles(), tiles_per_chunk);
  }
};

// The shared scratch of a pass, by name.
struct Scratch {
  int32_t* used_experts = nullptr;  // [experts]
  int32_t* first_pair = nullptr;    // [experts + 1], by position in used_experts
  int64_t* in_offset = nullptr;     // [experts] bytes
  int64_t* gate_offset =
      nullptr;  // [experts] bytes, where gate wants another form of the input than up
  int64_t* hidden_offset = nullptr;
  int32_t* block_expert = nullptr;  // [blocks]: position in used_experts
  int32_t* block_begin = nullptr;   // [blocks]: first row of the expert's
  int32_t* pair_token = nullptr;    // [pairs], sorted
  float* pair_weight = nullptr;     // [pairs], sorted
  int32_t* place = nullptr;         // [tokens * used]: where a pair went
  int32_t* next = nullptr;          // [experts]
  float* gate = nullptr;            // [pairs][hidden]
  float* up = nullptr;
  float* result = nullptr;  // [pairs][out]
  uint8_t* prepared_in = nullptr;
  uint8_t* prepared_gate = nullptr;
  uint8_t* prepared_hidden = nullptr;
};

class ExpertsStep final : public Step {
 public:
  ExpertMatrices gate, up, down;  // gate.experts is empty if there is none

  ExpertsStep(const ExpertsOp& op, RowKind rows, int64_t used)
      : op_(op), rows_(rows), used_(used) {}

  void Finish(int64_t max_rows) {
    experts_ = static_cast<int64_t>(up.experts.size());
    hidden_ = up.first().rows;
    max_pairs_ = max_rows * used_;
    max_blocks_ = std::min(experts_, max_pairs_) + DivideUp(max_pairs_, kGatherRows);
    if (!gate.experts.empty()) gate.Divide();
    up.Divide();
    down.Divide();
    in_bytes_ = SharedInputBytes(up.first(), max_pairs_, experts_);
    hidden_bytes_ = SharedInputBytes(down.first(), max_pairs_, experts_);
    gate_shares_input_ = gate.experts.empty() || gate.first().input == up.first().input;
    if (!gate_shares_input_) gate_bytes_ = SharedInputBytes(gate.first(), max_pairs_, experts_);
    Carve(nullptr, &shared_scratch_bytes);
    low_rank_slots = 2 * used_;
    worker_scratch_bytes =
        kGatherRows * RowStride(op_.in.width) * static_cast<int64_t>(sizeof(float));
  }

  void Run(const Pass& pass, Worker& worker) const override {
    const int64_t rows = pass.RowsOf(rows_);
    if (rows == 0) return;
    int64_t bytes = 0;
    const Scratch s = Carve(pass.shared_scratch, &bytes);
    worker.Once([&] { Sort(pass.routes[static_cast<size_t>(op_.route)], rows, s); });
    const int64_t active = active_.load(std::memory_order_relaxed);
    const int64_t blocks = blocks_.load(std::memory_order_relaxed);
    worker.For(blocks, [&](int64_t block) { PrepareIn(pass, worker, s, block); });
    const LowRank changes{Changes(pass, op_.up), Changes(pass, op_.gate), Changes(pass, op_.down)};
    if (changes.up || changes.gate) {
      worker.For(active, [&](int64_t index) { ReduceIn(pass, s, index, changes); });
    }
    worker.ForStreams(active * up.chunks,
                      [&](int64_t chunk) { RunUp(pass, s, chunk / up.chunks, chunk % up.chunks); });
    worker.For(blocks, [&](int64_t block) { PrepareHidden(s, block); });
    if (pass.observer != nullptr) worker.Once([&] { Tell(pass, s, active); });
    if (changes.down) worker.For(active, [&](int64_t index) { ReduceHidden(pass, s, index); });
    worker.ForStreams(active * down.chunks, [&](int64_t chunk) {
      RunDown(pass, s, chunk / down.chunks, chunk % down.chunks);
    });
    const int64_t per_block = std::clamp<int64_t>(rows / (4 * worker.count()), 1, 16);
    worker.For(DivideUp(rows, per_block), [&](int64_t block) {
      for (int64_t row = block * per_block; row < std::min((block + 1) * per_block, rows); ++row)
        Combine(pass, s, row);
    });
  }

 private:
  Scratch Carve(uint8_t* base, int64_t* bytes) const {
    Scratch s;
    auto take = [&](auto** pointer, int64_t count) {
      using T = std::remove_pointer_t<std::remove_pointer_t<decltype(pointer)>>;
      if (base != nullptr) *pointer = reinterpret_cast<T*>(base + *bytes);
      *bytes += RoundUp(count * static_cast<int64_t>(sizeof(T)), 64);
    };
    *bytes = 0;
    take(&s.used_experts, experts_);
    take(&s.first_pair, experts_ + 1);
    take(&s.in_offset, experts_);
    take(&s.gate_offset, experts_);
    take(&s.hidden_offset, experts_);
    take(&s.block_expert, max_blocks_);
    take(&s.block_begin, max_blocks_);
    take(&s.pair_token, max_pairs_);
    take(&s.pair_weight, max_pairs_);
    take(&s.place, max_pairs_);
    take(&s.next, experts_);
    if (!gate.experts.empty()) take(&s.gate, max_pairs_ * RowStride(hidden_));
    take(&s.up, max_pairs_ * RowStride(hidden_));
    take(&s.result, max_pairs_ * RowStride(op_.out.width));
    take(&s.prepared_in, in_bytes_);
    take(&s.prepared_gate, gate_bytes_);
    take(&s.prepared_hidden, hidden_bytes_);
    return s;
  }

  // Counting sort of the pairs by expert, and what follows from it.
  void Sort(const RouteSlot& route, int64_t rows, const Scratch& s) const {
    const int64_t pairs = rows * used_;
    std::fill_n(s.next, experts_, 0);
    for (int64_t i = 0; i < pairs; ++i) ++s.next[route.chosen[i]];
    int64_t active = 0, blocks = 0, in_bytes = 0, gate_bytes = 0, hidden_bytes = 0;
    int32_t first = 0;
    for (int64_t expert = 0; expert < experts_; ++expert) {
      const int32_t count = s.next[expert];
      s.next[expert] = first;
      if (count == 0) continue;
      s.used_experts[active] = static_cast<int32_t>(expert);
      s.first_pair[active] = first;
      s.in_offset[active] = in_bytes;
      s.gate_offset[active] = gate_bytes;
      s.hidden_offset[active] = hidden_bytes;
      // One token without weights is the same input for all its experts.
      if (!OneInput(rows)) in_bytes += InputBytes(up.first().input, count, up.first().cols);
      if (!gate_shares_input_)
        gate_bytes += InputBytes(gate.first().input, count, gate.first().cols);
      hidden_bytes += InputBytes(down.first().input, count, down.first().cols);
      for (int64_t begin = 0; begin < count; begin += kGatherRows) {
        s.block_expert[blocks] = static_cast<int32_t>(active);
        s.block_begin[blocks++] = static_cast<int32_t>(begin);
      }
      first += count;
      ++active;
    }
    s.first_pair[active] = first;
    for (int64_t i = 0; i < pairs; ++i) {
      const int32_t to = s.next[route.chosen[i]]++;
      s.place[i] = to;
      s.pair_token[to] = static_cast<int32_t>(i / used_);
      s.pair_weight[to] = route.weights[i];
    }
    active_.store(active, std::memory_order_relaxed);
    blocks_.store(blocks, std::memory_order_relaxed);
  }
  bool OneInput(int64_t rows) const { return rows == 1 && !op_.weigh_input && gate_shares_input_; }

  // Rows of one expert that one chunk gathers.
  struct RowBlock {
    int64_t expert, first, count, begin,
        end;  // first and count: of the expert; begin and end: of the block within
  };
  RowBlock BlockOf(const Scratch& s, int64_t block) const {
    const int64_t expert = s.block_expert[block], begin = s.block_begin[block];
    const int64_t first = s.first_pair[expert], count = s.first_pair[expert + 1] - first;
    return {expert, first, count, begin, std::min(begin + kGatherRows, count)};
  }

  void PrepareIn(const Pass& pass, const Worker& worker, const Scratch& s, int64_t block) const {
    if (block > 0 && OneInput(pass.RowsOf(rows_))) return;
    const RowBlock b = BlockOf(s, block);
    float* rows = reinterpret_cast<float*>(pass.ScratchOf(worker));
    const int64_t stride = RowStride(op_.in.width);
    for (int64_t i = b.begin; i < b.end; ++i) {
      float* row = rows + (i - b.begin) * stride;
      std::memcpy(row, pass.Row(op_.in, s.pair_token[b.first + i]),
                  static_cast<size_t>(op_.in.width) * sizeof(float));
      if (op_.weigh_input) pass.ops->scale(row, op_.in.width, s.pair_weight[b.first + i]);
    }
    PrepareInput(up.first(), rows - b.begin * stride, stride, b.begin, b.end, b.count,
                 s.prepared_in + s.in_offset[b.expert]);
    if (!gate_shares_input_) {
      PrepareInput(gate.first(), rows - b.begin * stride, stride, b.begin, b.end, b.count,
                   s.prepared_gate + s.gate_offset[b.expert]);
    }
  }

  // Which weights the adapters of the pass change.
  struct LowRank {
    bool up, gate, down;
  };
  const Segment& SegmentOfPair(const Pass& pass, const Scratch& s, int64_t pair) const {
    return pass.SegmentOf(rows_, s.pair_token[pair]);
  }
  // What adapters need of the inputs of one expert. A pair has two slots: up (and later down), and
  // gate.
  void ReduceIn(const Pass& pass, const Scratch& s, int64_t index, const LowRank& changes) const {
    const int64_t expert = s.used_experts[index];
    for (int64_t pair = s.first_pair[index]; pair < s.first_pair[index + 1]; ++pair) {
      const Segment& segment = SegmentOfPair(pass, s, pair);
      const float* in = pass.Row(op_.in, s.pair_token[pair]);
      const float scale = op_.weigh_input ? s.pair_weight[pair] : 1;
      float* slot = pass.low_rank.Slot(2 * pair);
      if (changes.up) ReduceRow(pass, segment, op_.up, expert, in, scale, slot);
      if (changes.gate) {
        slot = pass.low_rank.Slot(2 * pair + 1);
        ReduceRow(pass, segment, op_.gate, expert, in, scale, slot);
      }
    }
  }
  void ReduceHidden(const Pass& pass, const Scratch& s, int64_t index) const {
    for (int64_t pair = s.first_pair[index]; pair < s.first_pair[index + 1]; ++pair) {
      ReduceRow(pass, SegmentOfPair(pass, s, pair), op_.down, s.used_experts[index],
                s.up + pair * RowStride(hidden_), 1, pass.low_rank.Slot(2 * pair));
    }
  }
  // Adds the changes to columns [begin, end) of the expert's rows.
  void Expand(const Pass& pass, const Scratch& s, int64_t index, WeightId weight, int64_t slot,
              int64_t begin, int64_t end, float* out, int64_t stride) const {
    if (!Changes(pass, weight)) return;
    const int64_t first = s.first_pair[index];
    for (int64_t pair = first; pair < s.first_pair[index + 1]; ++pair) {
      ExpandRow(pass, SegmentOfPair(pass, s, pair), weight, s.used_experts[index],
                pass.low_rank.Slot(2 * pair + slot), begin, end, out + (pair - first) * stride);
    }
  }

  // One expert's product over a range of tiles, with bias; rows of `out` are the expert's.
  void MultiplyChunk(const Pass& pass, const ExpertMatrices& matrices, int64_t expert,
                     const uint8_t* prepared, int64_t rows, int64_t tile_begin, int64_t tile_end,
                     float* out, int64_t stride) const {
    const PackedMatrix& matrix = *matrices.experts[static_cast<size_t>(expert)];
    Multiply(matrix, prepared, rows, tile_begin, tile_end, out, stride);
    if (matrices.bias == nullptr) return;
    const int64_t begin = tile_begin * matrix.tile_rows;
    const int64_t end = std::min(tile_end * matrix.tile_rows, matrix.rows);
    const float* bias = matrices.bias + expert * matrix.rows + begin;
    for (int64_t row = 0; row < rows; ++row) {
      pass.ops->add(out + row * stride + begin, bias, 1, end - begin, out + row * stride + begin);
    }
  }

  void RunUp(const Pass& pass, const Scratch& s, int64_t index, int64_t chunk) const {
    const int64_t expert = s.used_experts[index];
    const int64_t first = s.first_pair[index], rows = s.first_pair[index + 1] - first;
    const int64_t stride = RowStride(hidden_);
    const int64_t tile_begin = chunk * up.tiles_per_chunk;
    const int64_t tile_end = std::min(tile_begin + up.tiles_per_chunk, up.first().tiles());
    float* up_rows = s.up + first * stride;
    MultiplyChunk(pass, up, expert, s.prepared_in + s.in_offset[index], rows, tile_begin, tile_end,
                  up_rows, stride);
    float* gate_rows = gate.experts.empty() ? nullptr : s.gate + first * stride;
    if (gate_rows != nullptr) {
      const uint8_t* gate_input = gate_shares_input_ ? s.prepared_in + s.in_offset[index]
                                                     : s.prepared_gate + s.gate_offset[index];
      MultiplyChunk(pass, gate, expert, gate_input, rows, tile_begin, tile_end, gate_rows, stride);
    }
    const int64_t begin = tile_begin * up.first().tile_rows;
    const int64_t n = std::min(tile_end * up.first().tile_rows, hidden_) - begin;
    Expand(pass, s, index, op_.up, 0, begin, begin + n, up_rows, stride);
    if (gate_rows != nullptr)
      Expand(pass, s, index, op_.gate, 1, begin, begin + n, gate_rows, stride);
    for (int64_t row = 0; row < rows; ++row) {
      float* x = up_rows + row * stride + begin;
      if (gate_rows == nullptr) {
        pass.ops->unary(op_.activation, x, n, x);
      } else if (op_.limit > 0 && op_.clamp_activated) {
        pass.ops->gated_limited(op_.activation, gate_rows + row * stride + begin, x, n, op_.limit,
                                x);
      } else if (op_.limit > 0) {
        pass.ops->gated_clamped(gate_rows + row * stride + begin, x, n, op_.limit, op_.alpha, x);
      } else {
        pass.ops->gated(op_.activation, gate_rows + row * stride + begin, x, n, x);
      }
    }
  }

  void PrepareHidden(const Scratch& s, int64_t block) const {
    const RowBlock b = BlockOf(s, block);
    const int64_t stride = RowStride(hidden_);
    PrepareInput(down.first(), s.up + b.first * stride, stride, b.begin, b.end, b.count,
                 s.prepared_hidden + s.hidden_offset[b.expert]);
  }

  void Tell(const Pass& pass, const Scratch& s, int64_t active) const {
    for (int64_t index = 0; index < active; ++index) {
      const int64_t expert = s.used_experts[index], first = s.first_pair[index];
      const int64_t count = s.first_pair[index + 1] - first;
      for (int64_t pair = first; pair < first + count; ++pair) {
        const ObservedRows row{pass.Row(op_.in, s.pair_token[pair]), 1, op_.in.width, op_.in.width,
                               op_.weigh_input ? s.pair_weight[pair] : 1};
        pass.observer->Observe(op_.up, expert, row);
        if (op_.gate != kNoWeight) pass.observer->Observe(op_.gate, expert, row);
      }
      const int64_t stride = RowStride(hidden_);
      pass.observer->Observe(op_.down, expert, {s.up + first * stride, count, hidden_, stride});
    }
  }

  void RunDown(const Pass& pass, const Scratch& s, int64_t index, int64_t chunk) const {
    const int64_t first = s.first_pair[index], rows = s.first_pair[index + 1] - first;
    const int64_t stride = RowStride(op_.out.width);
    const int64_t tile_begin = chunk * down.tiles_per_chunk;
    const int64_t tile_end = std::min(tile_begin + down.tiles_per_chunk, down.first().tiles());
    MultiplyChunk(pass, down, s.used_experts[index], s.prepared_hidden + s.hidden_offset[index],
                  rows, tile_begin, tile_end, s.result + first * stride, stride);
    const int64_t rows_per_tile = down.first().tile_rows;
    Expand(pass, s, index, op_.down, 0, tile_begin * rows_per_tile,
           std::min(tile_end * rows_per_tile, op_.out.width), s.result + first * stride, stride);
  }

  void Combine(const Pass& pass, const Scratch& s, int64_t row) const {
    float* out = pass.Row(op_.out, row);
    const int64_t n = op_.out.width;
    std::memset(out, 0, static_cast<size_t>(n) * sizeof(float));
    for (int64_t i = row * used_; i < (row + 1) * used_; ++i) {
      const int64_t place = s.place[i];
      pass.ops->add(out, s.result + place * RowStride(n),
                    op_.weigh_input ? 1.0f : s.pair_weight[place], n, out);
    }
  }

  ExpertsOp op_;
  RowKind rows_;
  int64_t used_, experts_ = 0, hidden_ = 0;
  int64_t max_pairs_ = 0, max_blocks_ = 0;
  int64_t in_bytes_ = 0, gate_bytes_ = 0, hidden_bytes_ = 0;
  bool gate_shares_input_ = true;
  // Of the pass: experts in use, and blocks of their rows. Not in the scratch, because a worker
  // that is late may ask when other steps write there.
  mutable std::atomic<int64_t> active_{0}, blocks_{0};
};

Status AddMatrices(CompileContext* context, WeightId id, WeightId bias, ExpertMatrices* matrices) {
  if (id == kNoWeight) return {};
  for (int64_t expert = 0; expert < context->weights()->weight(id).experts; ++expert) {
    PUNA_ASSIGN_OR_RETURN(const PackedMatrix* matrix, context->weights()->Matrix(id, expert));
    matrices->experts.push_back(matrix);
  }
  PUNA_ASSIGN_OR_RETURN(matrices->bias, context->weights()->Vector(bias));
  return {};
}

// How many experts the RouteOp before `index` chooses.
int64_t UsedExperts(const Plan& plan, int route, size_t index) {
  for (size_t i = index; i-- > 0;) {
    const auto* op = std::get_if<RouteOp>(&plan.ops[i]);
    if (op != nullptr && op->route == route) return op->used;
  }
  CHECK(false) << "experts without a router";
  return 0;
}

}  // namespace

Result<bool> CompileExperts(CompileContext* context, size_t index) {
  const auto* op = std::get_if<ExpertsOp>(&context->op(index));
  if (op == nullptr) return false;
  context->FlushPending();
  auto step = std::make_unique<ExpertsStep>(*op, context->rows(),
                                            UsedExperts(context->plan(), op->route, index));
  PUNA_RETURN_IF_ERROR(AddMatrices(context, op->gate, op->gate_bias, &step->gate));
  PUNA_RETURN_IF_ERROR(AddMatrices(context, op->up, op->up_bias, &step->up));
  PUNA_RETURN_IF_ERROR(AddMatrices(context, op->down, op->down_bias, &step->down));
  step->Finish(context->max_rows());
  context->Take(index);
  context->AddStep(std::move(step));
  return true;
}

}  // namespace puna::backend::cpu
