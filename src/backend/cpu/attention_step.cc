// Attention, with the norms and rotations of its heads that stand in front of it, and the append to
// the cache.
//
// The unit of work is (query block of a segment, kv head, some query heads of it): its rows share
// every key and value that is read. Where rows are few, a unit is several kv heads, whose keys lie
// side by side. Normally there are two loops: the first over blocks of rows
// (norms, rotations, append), the second over units. When every unit is alone with its kv head in
// its segment (generation: one query block a segment), the unit can do all of it by itself and one
// loop suffices. When there are fewer units than would keep the threads busy (one long sequence,
// few kv heads), a unit's keys are cut into ranges; whoever finishes the last range of a unit
// merges them. In the last layer only the rows that outputs were asked for are queries, while all
// are appended. All of this happens for the segments of one turn after another (key_pages.h).
#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

#include "backend/cpu/compiler.h"
#include "backend/cpu/key_pages.h"
#include "backend/plan_access.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// RelativeBucket of the distances [-kBiasReach, kBiasReach]: beyond, all are alike.
std::vector<int32_t> BiasRows(const AttentionOp& op, const WeightStore& weights) {
  std::vector<int32_t> rows;
  if (op.position_bias == kNoWeight) return rows;
  const int64_t buckets = weights.weight(op.position_bias).rows;
  for (int64_t distance = -kBiasReach; distance <= kBiasReach; ++distance) {
    rows.push_back(static_cast<int32_t>(RelativeBucket(distance, buckets, !op.causal)));
  }
  return rows;
}

// Rows (tokens times heads) of a unit: enough to pay for expanding the keys, few enough to stay in
// the L1/L2 caches.
constexpr int64_t kMaxUnitRows = 64;
constexpr int64_t kAppendRows = 16;
// Ranges that the keys of a unit are cut into at most: what is longer is left to one thread, or to
// the units of the other heads.
constexpr int64_t kMaxSplits = 256;

// Press, Smith, Lewis 2022: powers of 2^(-max_bias / n), n the largest power of two <= heads; the
// heads beyond n take the odd powers of its square root.
std::vector<float> AlibiSlopes(const AttentionOp& op) {
  std::vector<float> slopes;
  if (op.alibi_max_bias <= 0) return slopes;
  int64_t power = 1;
  while (2 * power <= op.heads) power *= 2;
  const double step = -static_cast<double>(op.alibi_max_bias) / static_cast<double>(power);
  for (int64_t h = 0; h < op.heads; ++h) {
    slopes.push_back(static_cast<float>(
        h < power ? std::exp2(step * static_cast<double>(h + 1))
                  : std::exp2(step / 2 * static_cast<double>(2 * (h - power) + 1))));
  }
  return slopes;
}

// What one turn decides for all units.
struct Division {
  KeyTurn turn;
  std::span<const QueryBlock> blocks;  // of queries
  int64_t together = 1;                // kv heads per unit
  int64_t units = 0;
  int64_t splits = 1;  // key ranges per unit
  bool alone = false;  // each unit does its own append
};

class AttentionStep final : public Step {
 public:
  AttentionStep(const AttentionOp& op, const float* sinks, const float* bias, bool outputs_only,
                CompileContext* context)
      : op_(op),
        sinks_(sinks),
        slopes_(AlibiSlopes(op)),
        bias_(bias),
        bias_rows_(BiasRows(op, *context->weights())) {
    group_ = op.heads / op.kv_heads;
    unit_heads_ = std::min(group_, kMaxUnitRows);
    head_parts_ = DivideUp(group_, unit_heads_);
    unit_tokens_ = std::max<int64_t>(1, kMaxUnitRows / unit_heads_);
    blocks_ = context->QueryBlocks({unit_tokens_, outputs_only});
    const bool cached = op.cache >= 0;
    if (cached) tile_.numbers = context->kv_layer(op.cache).numbers;
    tile_.k_size = op.k_size;
    tile_.v_size = op.v_size;
    tile_.v_in_k = op.v_in_k;
    head_bytes_ =
        KTileBytes(tile_.numbers, op.k_size) + VTileBytes(tile_.numbers, op.v_in_k ? 0 : op.v_size);
    tile_.k_offset = cached ? context->kv_layer(op.cache).offset : 0;
    tile_.v_offset = tile_.k_offset + KTileBytes(tile_.numbers, op.k_size);

    threads_ = context->threads();
    const int64_t unit_rows = unit_heads_ * unit_tokens_;
    const int64_t float_bytes = sizeof(float);
    for (int64_t together = 1; together <= MostTogether(); ++together) {
      worker_scratch_bytes = std::max(
          worker_scratch_bytes,
          together * float_bytes * AttendScratchFloats(unit_rows / together, op.k_size, op.v_size));
    }
    part_floats_ = AttendPartialFloats(unit_rows, op.v_size);
    if (!cached) pages_ = KeyPages(context->max_rows(), op.kv_heads * head_bytes_);
    shared_scratch_bytes = pages_.scratch_bytes();
    const int64_t most_keys =
        cached ? context->options().kv_pages * kPageTokens : context->max_rows();
    max_splits_ = std::min(kMaxSplits, DivideUp(most_keys, kAttendRange) + 1);
    if (threads_ > 1) {
      shared_scratch_bytes += MaxParts() * part_floats_ * float_bytes;
      finished_ = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(MaxSplitUnits()));
    }
  }

  // Ops on the heads of q, k and v that run before.
  RowOps q_ops, k_ops, v_ops;

  void Run(const Pass& pass, Worker& worker) const override {
    for (KeyTurn turn = pages_.TurnFrom(pass, 0); turn.segments() > 0;
         turn = pages_.TurnFrom(pass, turn.end)) {
      RunTurn(pass, worker, Divide(pass, turn));
    }
  }

 private:
  void RunTurn(const Pass& pass, Worker& worker, const Division& division) const {
    const KeyTurn& turn = division.turn;
    if (!division.alone && (op_.k.buffer >= 0 || !q_ops.empty())) {
      worker.For(DivideUp(turn.row_end - turn.row_begin, kAppendRows), [&](int64_t block) {
        const int64_t begin = turn.row_begin + block * kAppendRows;
        Append(pass, turn, begin, std::min(begin + kAppendRows, turn.row_end), 0, op_.kv_heads);
      });
    }
    worker.For(division.units * division.splits,
               [&](int64_t index) { RunUnit(pass, worker, division, index); });
  }

  // Units are cut while they are fewer than this.
  int64_t MaxSplitUnits() const { return 2 * threads_; }
  int64_t MaxParts() const { return MaxSplitUnits() * max_splits_; }

  int64_t MostTogether() const {
    return head_parts_ == 1 && !op_.v_in_k ? std::min(kAttendMostHeads, op_.kv_heads) : 1;
  }

  // As many kv heads as their rows fit into a unit's and as leave each thread a unit.
  int64_t HeadsTogether(std::span<const QueryBlock> blocks) const {
    int64_t tokens = 1;
    for (const QueryBlock& block : blocks) tokens = std::max<int64_t>(tokens, block.tokens);
    for (int64_t together = MostTogether(); together > 1; --together) {
      const int64_t units = static_cast<int64_t>(blocks.size()) * op_.kv_heads / together;
      if (op_.kv_heads % together == 0 && tokens * together <= unit_tokens_ && units >= threads_)
        return together;
    }
    return 1;
  }

  static int64_t TokensOf(std::span<const QueryBlock> blocks) {
    int64_t tokens = 0;
    for (const QueryBlock& block : blocks) tokens += block.tokens;
    return tokens;
  }

  std::span<const QueryBlock> BlocksOf(const Pass& pass, const KeyTurn& turn) const {
    const std::vector<QueryBlock>& all = pass.query_blocks[static_cast<size_t>(blocks_)];
    const auto first = [&](int64_t segment) {
      return std::ranges::lower_bound(all, segment, {}, &QueryBlock::segment);
    };
    return {first(turn.begin), first(turn.end)};
  }

  Division Divide(const Pass& pass, const KeyTurn& turn) const {
    Division d;
    d.turn = turn;
    d.blocks = BlocksOf(pass, turn);
    d.together = HeadsTogether(d.blocks);
    const auto blocks = static_cast<int64_t>(d.blocks.size());
    d.units = blocks * op_.kv_heads / d.together * head_parts_;
    if (threads_ > 1 && d.units < MaxSplitUnits()) {
      for (const QueryBlock& block : d.blocks) {
        const AttendArgs args = KeysOf(pass, turn, block);
        d.splits = std::max(d.splits,
                            DivideUp(args.key_end, kAttendRange) - args.key_begin / kAttendRange);
      }
      if (d.splits > max_splits_) d.splits = 1;
    }
    d.alone = d.splits == 1 && head_parts_ == 1 && blocks == turn.segments() &&
              TokensOf(d.blocks) == turn.row_end - turn.row_begin;
    return d;
  }

  // Norms, rotations and append for rows [row_begin, row_end), kv heads [head_begin, head_end) and
  // their query heads.
  void Append(const Pass& pass, const KeyTurn& turn, int64_t row_begin, int64_t row_end,
              int64_t head_begin, int64_t head_end) const {
    const int64_t q_head = group_ * op_.k_size;
    for (const auto& op : q_ops)
      op->Run(pass, {row_begin, row_end, head_begin * q_head, head_end * q_head}, nullptr);
    for (const auto& op : k_ops) {
      op->Run(pass, {row_begin, row_end, head_begin * op_.k_size, head_end * op_.k_size}, nullptr);
    }
    for (const auto& op : v_ops) {
      op->Run(pass, {row_begin, row_end, head_begin * op_.v_size, head_end * op_.v_size}, nullptr);
    }
    if (op_.k.buffer < 0) return;
    for (int64_t row = row_begin; row < row_end; ++row) {
      const KeySlot place = pages_.SlotOf(pass, turn, row);
      const float* k = pass.Row(op_.k, row);
      const float* v = op_.v_in_k ? k : pass.Row(op_.v, row);
      for (int64_t head = head_begin; head < head_end; ++head) {
        pass.ops->append(tile_, place.page + head * head_bytes_, place.slot, k + head * op_.k_size,
                         v + head * op_.v_size);
      }
    }
  }

  // The keys that a block can see, as args.
  AttendArgs KeysOf(const Pass& pass, const KeyTurn& turn, const QueryBlock& block) const {
    const Segment& segment = pass.batch->segments[static_cast<size_t>(block.segment)];
    AttendArgs args;
    pages_.Find(pass, turn, block.segment, &args);
    const int64_t base = pages_.FirstKey(segment);
    const int64_t last = base + block.first_token + block.tokens - 1;
    args.first_key = base + block.first_token;
    args.key_begin = pages_.cached() ? segment.encoded : 0;
    args.key_end = op_.causal ? last + 1 : base + segment.tokens;
    if (op_.cross) {
      args.key_begin = 0;
      args.key_end = segment.encoded;
    }
    if (op_.chunk > 0) {
      args.first_position = segment.start_position - base;
      const int64_t position = segment.start_position + block.first_token;
      args.key_begin =
          std::max(args.key_begin, position / op_.chunk * op_.chunk - args.first_position);
    }
    if (op_.window > 0) {
      const int64_t back = op_.causal ? op_.window - 1 : op_.window / 2;
      args.key_begin = std::max(args.key_begin, args.first_key - back);
      if (!op_.causal) args.key_end = std::min(args.key_end, last + op_.window / 2 + 1);
    }
    return args;
  }

  // Units of one kv head follow each other, so that its keys stay in the cache, longest first.
  void RunUnit(const Pass& pass, const Worker& worker, const Division& division,
               int64_t index) const {
    const auto blocks = static_cast<int64_t>(division.blocks.size());
    const int64_t unit = index / division.splits, split = index % division.splits;
    const int64_t head_part = unit / blocks;
    const int64_t kv_head = head_part / head_parts_ * division.together;
    const int64_t part = head_part % head_parts_;
    const auto block_index = static_cast<size_t>(blocks - 1 - unit % blocks);
    const QueryBlock& block = division.blocks[block_index];
    const Segment& segment = pass.batch->segments[static_cast<size_t>(block.segment)];
    const int64_t first_row = segment.first_row + block.first_token;
    if (division.alone) {
      Append(pass, division.turn, first_row, first_row + block.tokens, kv_head,
             kv_head + division.together);
    }

    AttendArgs args = KeysOf(pass, division.turn, block);
    const int64_t head = kv_head * group_ + part * unit_heads_;
    args.q = pass.Row(op_.q, first_row) + head * op_.k_size;
    args.q_stride = pass.Stride(op_.q);
    args.tokens = block.tokens;
    args.heads = std::min(unit_heads_, group_ - part * unit_heads_);
    args.kv_heads = division.together;
    args.head_bytes = head_bytes_;
    args.tile = tile_;
    args.tile.k_offset += kv_head * head_bytes_;
    args.tile.v_offset += kv_head * head_bytes_;
    args.window = op_.window;
    args.chunk = op_.chunk;
    args.causal = op_.causal;
    args.scale = op_.scale;
    args.softcap = op_.softcap;
    args.slopes = slopes_.empty() ? nullptr : slopes_.data() + head;
    args.sinks = sinks_ == nullptr ? nullptr : sinks_ + head;
    if (bias_ != nullptr) {
      args.bias = bias_ + head;
      args.bias_rows = bias_rows_.data();
      args.bias_heads = op_.heads;
    }
    if (op_.selection >= 0) {
      args.selected =
          pass.selections[static_cast<size_t>(op_.selection)] + first_row * pass.selection_words;
      args.selected_stride = pass.selection_words;
    }
    args.out = pass.Row(op_.out, first_row) + head * op_.v_size;
    args.out_stride = pass.Stride(op_.out);
    args.scratch = reinterpret_cast<float*>(pass.ScratchOf(worker));
    if (division.splits == 1) return pass.ops->attend(args);

    float* parts = reinterpret_cast<float*>(pass.shared_scratch + pages_.scratch_bytes()) +
                   unit * division.splits * part_floats_;
    const int64_t range = (args.key_begin / kAttendRange + split) * kAttendRange;
    args.key_end = std::min(args.key_end, range + kAttendRange);
    args.key_begin = std::min(std::max(args.key_begin, range), args.key_end);
    args.partial = parts + split * part_floats_;
    pass.ops->attend(args);
    if (finished_[static_cast<size_t>(unit)].fetch_add(1, std::memory_order_acq_rel) + 1 <
        division.splits)
      return;
    finished_[static_cast<size_t>(unit)].store(0, std::memory_order_relaxed);
    pass.ops->attend_merge(args, parts, division.splits, part_floats_);
  }

  AttentionOp op_;
  const float* sinks_;
  std::vector<float> slopes_;
  const float* bias_;
  std::vector<int32_t> bias_rows_;
  int threads_ = 1;
  int64_t group_ = 1, unit_heads_ = 1, head_parts_ = 1, unit_tokens_ = 1;
  int64_t max_splits_ = 1;
  int blocks_ = 0;
  KeyPages pages_;
  KvTile tile_;
  int64_t head_bytes_ = 0, part_floats_ = 0;
  std::unique_ptr<std::atomic<int64_t>[]> finished_;  // parts done of each unit that is cut
};

// Is this op a norm or a rotation, in place, of single heads of exactly `view`?
bool WorksOnHeads(const Op& op, const View& view, int64_t head_size) {
  if (const auto* norm = std::get_if<NormOp>(&op)) {
    return Same(norm->in, view) && Same(norm->out, view) && norm->group == head_size;
  }
  if (const auto* rope = std::get_if<RopeOp>(&op))
    return Same(rope->inout, view) && rope->head_size == head_size;
  return false;
}

// Moves the pending ops that only prepare the heads of this attention into its step.
void CollectHeadOps(CompileContext* context, const AttentionOp& op, AttentionStep* step) {
  std::vector<RowOps*> targets;
  size_t first = context->pending_ops().size();
  for (; first > 0; --first) {
    const Op& pending = context->op(context->pending_ops()[first - 1]);
    if (WorksOnHeads(pending, op.q, op.k_size)) {
      targets.push_back(&step->q_ops);
    } else if (op.k.buffer >= 0 && WorksOnHeads(pending, op.k, op.k_size)) {
      targets.push_back(&step->k_ops);
    } else if (op.k.buffer >= 0 && WorksOnHeads(pending, op.v, op.v_size)) {
      targets.push_back(&step->v_ops);
    } else {
      break;
    }
  }
  RowOps ops = context->TakePendingFrom(first);
  for (size_t i = 0; i < ops.size(); ++i) targets[ops.size() - 1 - i]->push_back(std::move(ops[i]));
}

// Is the result only read where rows are selected? Then only these need be computed.
bool OnlySelectedRowsRead(const CompileContext& context, size_t index) {
  const View out = std::get<AttentionOp>(context.op(index)).out;
  for (size_t i = index + 1; i < context.end(); ++i) {
    const Op& op = context.op(i);
    const OpAccess access = AccessOf(op);
    const bool touched = OverlapsAny(out, access.reads) || OverlapsAny(out, access.writes);
    if (touched) return std::holds_alternative<SelectRowsOp>(op);
  }
  return false;
}

}  // namespace

Result<bool> CompileAttention(CompileContext* context, size_t index) {
  const auto* op = std::get_if<AttentionOp>(&context->op(index));
  if (op == nullptr) return false;
  CHECK(context->rows() == RowKind::kTokens) << "attention after rows were selected";
  PUNA_ASSIGN_OR_RETURN(const float* sinks, context->weights()->Vector(op->sinks));
  PUNA_ASSIGN_OR_RETURN(const float* bias, context->weights()->Vector(op->position_bias));
  auto step = std::make_unique<AttentionStep>(*op, sinks, bias,
                                              OnlySelectedRowsRead(*context, index), context);
  // Views that overlap without being the same (k and v in one, say) would be prepared twice.
  const bool apart = op->k.buffer < 0 ||
                     (!Overlap(op->q, op->k) && !Overlap(op->q, op->v) && !Overlap(op->k, op->v));
  if (apart) CollectHeadOps(context, *op, step.get());
  context->FlushPending();
  context->Take(index);
  context->AddStep(std::move(step));
  return true;
}

}  // namespace puna::backend::cpu
