// The recurrent ops. The state of a layer is cut into parts that do not know of each other (heads,
// blocks of columns); the unit of work is one part of one segment, which walks along the tokens
// with its part of the state in the cache. It works in the memory of the last slot that the segment
// writes, so that generating a token in place copies nothing.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cpu/compiler.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// Columns of a part of the ops that work by columns: some vectors of any instruction set.
constexpr int64_t kPartColumns = 64;

class RecurrentStep : public Step {
 public:
  // `state_offset`: of the layer in a slot; -1: none. A part has at most `part_floats` values.
  RecurrentStep(int64_t state_offset, int64_t parts, int64_t part_floats)
      : state_offset_(state_offset), parts_(parts), part_floats_(part_floats) {}

  void Run(const Pass& pass, Worker& worker) const final {
    const auto segments = static_cast<int64_t>(pass.batch->segments.size());
    worker.For(segments * parts_, [&](int64_t unit) {
      const Segment& segment = pass.batch->segments[static_cast<size_t>(unit / parts_)];
      auto* scratch = reinterpret_cast<float*>(pass.ScratchOf(worker));
      Walk walk{&pass, &segment, unit % parts_, scratch + part_floats_, scratch, 0};
      Enter(&walk);
      RunPart(&walk);
    });
  }

 protected:
  // One part of one segment on its way.
  struct Walk {
    const Pass* pass;
    const Segment* segment;
    int64_t part;
    float* scratch;  // ScratchFloats()
    float* state;
    size_t next_write;

    int64_t Row(int64_t token) const { return segment->first_row + token; }
  };

  // Walks from the first token to the last, with AfterToken behind each.
  virtual void RunPart(Walk* walk) const = 0;
  // Values of a part of the state, and where they begin in the layer.
  virtual int64_t FloatsOf(int64_t) const { return part_floats_; }
  virtual int64_t OffsetOf(int64_t part) const { return part * part_floats_; }

  void ReserveScratch(int64_t floats) {
    worker_scratch_bytes = (part_floats_ + floats) * static_cast<int64_t>(sizeof(float));
  }
  void AfterToken(Walk* walk, int64_t token) const {
    const std::span<const StateWrite> writes = Writes(*walk);
    if (walk->next_write == writes.size() || writes[walk->next_write].tokens != token + 1) return;
    Copy(*walk, At(*walk, writes[walk->next_write++].slot), walk->state);
  }

 private:
  std::span<const StateWrite> Writes(const Walk& walk) const {
    return state_offset_ < 0 ? std::span<const StateWrite>() : walk.segment->state_writes;
  }
  float* At(const Walk& walk, int32_t slot) const {
    return walk.pass->state_pool + slot * walk.pass->state_slot_floats + state_offset_ +
           OffsetOf(walk.part);
  }
  void Copy(const Walk& walk, float* to, const float* from) const {
    if (to == from) return;
    std::memcpy(to, from, static_cast<size_t>(FloatsOf(walk.part)) * sizeof(float));
  }
  void Enter(Walk* walk) const {
    const std::span<const StateWrite> writes = Writes(*walk);
    if (!writes.empty()) walk->state = At(*walk, writes.back().slot);
    if (state_offset_ >= 0 && walk->segment->start_position > 0) {
      Copy(*walk, walk->state, At(*walk, walk->segment->state));
    } else {
      std::fill_n(walk->state, FloatsOf(walk->part), 0.0f);
    }
  }

  int64_t state_offset_;
  int64_t parts_, part_floats_;
};

// State of a part: [kernel - 1][columns].
class ConvolutionStep final : public RecurrentStep {
 public:
  ConvolutionStep(const ConvolutionOp& op, int64_t state_offset, const float* weight,
                  const float* bias)
      : RecurrentStep(state_offset, DivideUp(op.in.width, kPartColumns),
                      (op.kernel - 1) * kPartColumns),
        op_(op),
        weight_(weight),
        bias_(bias) {
    ReserveScratch(op.kernel * kPartColumns + 2 * op.kernel);
  }

 private:
  int64_t Columns(int64_t part) const {
    return std::min(kPartColumns, op_.in.width - part * kPartColumns);
  }
  int64_t FloatsOf(int64_t part) const override { return (op_.kernel - 1) * Columns(part); }

  void RunPart(Walk* walk) const override {
    const int64_t first = walk->part * kPartColumns, n = Columns(walk->part), kernel = op_.kernel;
    float* weight = walk->scratch;  // [kernel][n]
    for (int64_t c = 0; weight_ != nullptr && c < n; ++c) {
      for (int64_t j = 0; j < kernel; ++j) weight[j * n + c] = weight_[(first + c) * kernel + j];
    }
    // Pointers: the window of the token at hand, the oldest row first.
    auto* rows = reinterpret_cast<const float**>(walk->scratch + kernel * kPartColumns);
    for (int64_t i = 0; i < walk->segment->tokens; ++i) {
      const float* in = walk->pass->Row(op_.in, walk->Row(i)) + first;
      float* out = walk->pass->Row(op_.out, walk->Row(i)) + first;
      for (int64_t j = 0; j + 1 < kernel; ++j) rows[j] = walk->state + j * n;
      rows[kernel - 1] = in;
      if (weight_ != nullptr) {
        walk->pass->ops->convolve(rows, kernel, weight, bias_ == nullptr ? nullptr : bias_ + first,
                                  n, out);
      } else {
        std::copy_n(rows[0], n, out);
      }
      std::memmove(walk->state, walk->state + n,
                   static_cast<size_t>((kernel - 2) * n) * sizeof(float));
      std::copy_n(in, n, walk->state + (kernel - 2) * n);
      AfterToken(walk, i);
    }
  }

  ConvolutionOp op_;
  const float* weight_;
  const float* bias_;
};

// Heads of size 1. State of a part: [state_size][columns].
class ChannelScanStep final : public RecurrentStep {
 public:
  ChannelScanStep(const ScanOp& op, int64_t state_offset, const float* decay, bool per_value,
                  const float* skip)
      : RecurrentStep(state_offset, op.groups * DivideUp(op.heads / op.groups, kPartColumns),
                      op.state_size * std::min(kPartColumns, op.heads / op.groups)),
        op_(op),
        decay_(decay),
        per_value_(per_value),
        skip_(skip),
        group_heads_(op.heads / op.groups),
        group_parts_(DivideUp(group_heads_, kPartColumns)) {
    ReserveScratch(op.state_size * kPartColumns);
  }

 private:
  int64_t First(int64_t part) const { return part % group_parts_ * kPartColumns; }  // in its group
  int64_t Columns(int64_t part) const { return std::min(kPartColumns, group_heads_ - First(part)); }
  int64_t FloatsOf(int64_t part) const override { return op_.state_size * Columns(part); }
  int64_t OffsetOf(int64_t part) const override {
    return op_.state_size * (part / group_parts_ * group_heads_ + First(part));
  }

  void RunPart(Walk* walk) const override {
    const int64_t group = walk->part / group_parts_, n = Columns(walk->part);
    const int64_t first = group * group_heads_ + First(walk->part), size = op_.state_size;
    float* decay = walk->scratch;  // [state_size][n]
    for (int64_t c = 0; c < n; ++c) {
      for (int64_t s = 0; s < size; ++s)
        decay[s * n + c] = decay_[per_value_ ? (first + c) * size + s : first + c];
    }
    const Pass& pass = *walk->pass;
    for (int64_t i = 0; i < walk->segment->tokens; ++i) {
      const int64_t row = walk->Row(i);
      pass.ops->scan_channels(pass.Row(op_.x, row) + first, pass.Row(op_.dt, row) + first, decay,
                              pass.Row(op_.b, row) + group * size,
                              pass.Row(op_.c, row) + group * size, skip_ + first, size, n,
                              walk->state, pass.Row(op_.out, row) + first);
      AfterToken(walk, i);
    }
  }

  ScanOp op_;
  const float* decay_;
  bool per_value_;
  const float* skip_;
  int64_t group_heads_, group_parts_;
};

// Heads with one decay. State of a head: [state_size][head_size].
class HeadScanStep final : public RecurrentStep {
 public:
  HeadScanStep(const ScanOp& op, int64_t state_offset, const float* decay, const float* skip)
      : RecurrentStep(state_offset, op.heads, op.state_size * op.head_size),
        op_(op),
        decay_(decay),
        skip_(skip) {
    ReserveScratch(op.state_size + op.head_size);
  }

 private:
  void RunPart(Walk* walk) const override {
    const Pass& pass = *walk->pass;
    const int64_t head = walk->part, group = head / (op_.heads / op_.groups), n = op_.head_size;
    float* keep = walk->scratch;
    float* value = keep + op_.state_size;
    RecurArgs args;
    args.k_size = op_.state_size;
    args.v_size = n;
    args.keep = keep;
    args.v = value;
    args.state = walk->state;
    for (int64_t i = 0; i < walk->segment->tokens; ++i) {
      const int64_t row = walk->Row(i);
      const float* x = pass.Row(op_.x, row) + head * n;
      float step = 0;
      pass.ops->unary(Activation::kSoftplus, pass.Row(op_.dt, row) + head, 1, &step);
      std::fill_n(keep, op_.state_size, std::exp(step * decay_[head]));
      for (int64_t p = 0; p < n; ++p) value[p] = step * x[p];
      args.k = pass.Row(op_.b, row) + group * op_.state_size;
      args.r = pass.Row(op_.c, row) + group * op_.state_size;
      args.out = pass.Row(op_.out, row) + head * n;
      pass.ops->recur(args);
      pass.ops->add(args.out, x, skip_[head], n, args.out);
      AfterToken(walk, i);
    }
  }

  ScanOp op_;
  const float* decay_;
  const float* skip_;
};

// State of a head: [k_size][v_size].
class DeltaStep final : public RecurrentStep {
 public:
  DeltaStep(const DeltaOp& op, int64_t state_offset, const float* rate)
      : RecurrentStep(state_offset, op.heads, op.k_size * op.v_size), op_(op), rate_(rate) {
    ReserveScratch(2 * op.k_size);
  }

 private:
  void RunPart(Walk* walk) const override {
    const Pass& pass = *walk->pass;
    const int64_t head = walk->part, size = op_.k_size;
    const int64_t key = op_.tiled ? head % op_.k_heads : head / (op_.heads / op_.k_heads);
    float* keep = walk->scratch;
    float* erase = keep + size;
    RecurArgs args;
    args.k_size = size;
    args.v_size = op_.v_size;
    args.keep = keep;
    args.erase = erase;
    args.scale = op_.scale;
    args.state = walk->state;
    for (int64_t i = 0; i < walk->segment->tokens; ++i) {
      const int64_t row = walk->Row(i);
      const float* decay = pass.Row(op_.decay, row);
      if (op_.decay.width == op_.heads) {
        pass.ops->keep(decay + head, rate_[head], 1, keep);
        std::fill_n(keep + 1, size - 1, keep[0]);
      } else {
        pass.ops->keep(decay + head * size, rate_[head], size, keep);
      }
      args.k = pass.Row(op_.k, row) + key * size;
      args.r = pass.Row(op_.q, row) + key * size;
      args.v = pass.Row(op_.v, row) + head * op_.v_size;
      args.out = pass.Row(op_.out, row) + head * op_.v_size;
      args.beta = pass.Row(op_.beta, row) + head;
      pass.ops->mul(keep, args.k, size, erase);  // what the decayed state knows of the key
      pass.ops->recur(args);
      AfterToken(walk, i);
    }
  }

  DeltaOp op_;
  const float* rate_;
};

// State of a head: [size][size].
class WkvStep final : public RecurrentStep {
 public:
  WkvStep(const WkvOp& op, int64_t state_offset, const float* bonus)
      : RecurrentStep(state_offset, op.heads, op.size * op.size), op_(op), bonus_(bonus) {
    ReserveScratch(0);
  }

 private:
  void RunPart(Walk* walk) const override {
    const Pass& pass = *walk->pass;
    const int64_t first = walk->part * op_.size;
    RecurArgs args;
    args.k_size = args.v_size = op_.size;
    args.scale = op_.scale;
    args.bonus = bonus_ == nullptr ? nullptr : bonus_ + first;
    args.state = walk->state;
    for (int64_t i = 0; i < walk->segment->tokens; ++i) {
      const int64_t row = walk->Row(i);
      args.keep = pass.Row(op_.w, row) + first;
      args.k = pass.Row(op_.k, row) + first;
      args.r = pass.Row(op_.r, row) + first;
      args.v = pass.Row(op_.v, row) + first;
      if (op_.erase.buffer >= 0) {
        args.erase = pass.Row(op_.erase, row) + first;
        args.write = pass.Row(op_.write, row) + first;
      }
      args.out = pass.Row(op_.out, row) + first;
      pass.ops->recur(args);
      AfterToken(walk, i);
    }
  }

  WkvOp op_;
  const float* bonus_;
};

// The step of a recurrent op; null for any other op.
struct Maker {
  CompileContext* context;
  using Made = Result<std::unique_ptr<Step>>;

  Made operator()(const ConvolutionOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* weight, context->weights()->Vector(op.weight));
    PUNA_ASSIGN_OR_RETURN(const float* bias, context->weights()->Vector(op.bias));
    return std::make_unique<ConvolutionStep>(op, context->state_offset(op.state), weight, bias);
  }
  Made operator()(const ScanOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* decay, context->weights()->Vector(op.decay));
    PUNA_ASSIGN_OR_RETURN(const float* skip, context->weights()->Vector(op.skip));
    const int64_t offset = context->state_offset(op.state);
    const bool per_value = context->weights()->weight(op.decay).cols != op.heads;
    if (op.head_size == 1)
      return std::make_unique<ChannelScanStep>(op, offset, decay, per_value, skip);
    return std::make_unique<HeadScanStep>(op, offset, decay, skip);
  }
  Made operator()(const DeltaOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* rate, context->weights()->Vector(op.rate));
    return std::make_unique<DeltaStep>(op, context->state_offset(op.state), rate);
  }
  Made operator()(const WkvOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* bonus, context->weights()->Vector(op.bonus));
    return std::make_unique<WkvStep>(op, context->state_offset(op.state), bonus);
  }
  template <typename Other>
  Made operator()(const Other&) const {
    return nullptr;
  }
};

}  // namespace

Result<bool> CompileRecurrent(CompileContext* context, size_t index) {
  PUNA_ASSIGN_OR_RETURN(std::unique_ptr<Step> step, std::visit(Maker{context}, context->op(index)));
  if (step == nullptr) return false;
  context->FlushPending();
  context->Take(index);
  context->AddStep(std::move(step));
  return true;
}

}  // namespace puna::backend::cpu
