// Walks the ops once and keeps, per buffer, the row space in which it was last written. That is
// enough to find every way in which a plan could make a backend read outside a buffer or mix rows
// of the batch with rows of the outputs. Shapes of weights are compared op by op. Values (scales,
// epsilons) are not judged here.
#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "backend/plan.h"

namespace puna::backend {
namespace {

enum class RowSpace { kUnwritten, kTokens, kOutputs, kSegments };

class Checker {
 public:
  explicit Checker(const Plan& plan)
      : plan_(plan), spaces_(plan.buffer_widths.size(), RowSpace::kUnwritten) {}

  Status Run() {
    for (const int64_t width : plan_.buffer_widths) Require(width > 0, "a buffer without width");
    for (const Weight& weight : plan_.weights) CheckWeight(weight);
    for (const StateLayer& layer : plan_.state_layers)
      Require(layer.values > 0, "a state layer without values");
    Require(plan_.vocabulary > 0, "no vocabulary");
    Require(plan_.encoder_ops < std::max<size_t>(plan_.ops.size(), 1), "nothing behind an encoder");
    Require(plan_.encoder_ops == 0 || plan_.input.buffer < 0, "an input beside an encoder");
    for (size_t i = 0; i < plan_.ops.size() && problem_.empty(); ++i) {
      encodes_ = i < plan_.encoder_ops;
      if (i == plan_.encoder_ops) spaces_.assign(spaces_.size(), RowSpace::kUnwritten);
      if (i == 0 && plan_.input.buffer >= 0) Write(plan_.input);
      std::visit([this](const auto& op) { Check(op); }, plan_.ops[i]);
      if (!problem_.empty()) {
        return MakeError(ErrorCode::kInternal, "op {} ({}): {}", i, OpName(plan_.ops[i]), problem_);
      }
    }
    if (problem_.empty()) Read(plan_.output);
    if (problem_.empty()) {
      Require((space_ == RowSpace::kSegments) == plan_.pooled, "pooled does not fit the ops");
    }
    if (!problem_.empty()) return MakeError(ErrorCode::kInternal, "plan: {}", problem_);
    return {};
  }

 private:
  void Require(bool condition, const char* problem) {
    if (!condition && problem_.empty()) problem_ = problem;
  }

  void CheckWeight(const Weight& weight) {
    Require(weight.cols > 0 && weight.rows > 0 && weight.experts > 0, "a weight without values");
    Require(weight.data != nullptr, "a weight without data");
    const quant::TypeTraits& traits = quant::TraitsOf(weight.type);
    Require(traits.decode != nullptr, "a weight of a type that is no weight");
    Require(weight.cols % traits.block_elements == 0, "a weight whose rows are no whole blocks");
  }

  bool InRange(const View& view) {
    const bool inside =
        view.buffer >= 0 && static_cast<size_t>(view.buffer) < spaces_.size() && view.offset >= 0 &&
        view.width > 0 && view.offset <= plan_.buffer_widths[static_cast<size_t>(view.buffer)] &&
        view.width <= plan_.buffer_widths[static_cast<size_t>(view.buffer)] - view.offset;
    Require(inside, "a view outside its buffer");
    return inside;
  }

  void Read(const View& view) {
    if (InRange(view)) {
      Require(spaces_[static_cast<size_t>(view.buffer)] == space_,
              "reads a buffer that is not written, or not in these rows");
    }
  }

  void Write(const View& view) {
    if (InRange(view)) spaces_[static_cast<size_t>(view.buffer)] = space_;
  }

  void Apart(const View& a, const View& b) {
    Require(
        a.buffer != b.buffer || a.offset + a.width <= b.offset || b.offset + b.width <= a.offset,
        "input and output overlap");
  }

  // In place means the very same columns; anything between is a mistake.
  void SameOrApart(const View& a, const View& b) {
    if (a.buffer == b.buffer && a.offset == b.offset && a.width == b.width) return;
    Apart(a, b);
  }

  const Weight* Find(WeightId id, bool optional) {
    if (id == kNoWeight) {
      Require(optional, "a weight is missing");
      return nullptr;
    }
    const bool known = id >= 0 && static_cast<size_t>(id) < plan_.weights.size();
    Require(known, "a weight id out of range");
    return known ? &plan_.weights[static_cast<size_t>(id)] : nullptr;
  }

  void Shape(WeightId id, int64_t cols, int64_t rows, int64_t experts, bool optional) {
    if (const Weight* weight = Find(id, optional)) {
      Require(weight->cols == cols && weight->rows == rows && weight->experts == experts,
              "a weight of the wrong shape");
    }
  }

  void Vector(WeightId id, int64_t width) { Shape(id, width, 1, 1, true); }

  void BeforeSelection() { Require(space_ == RowSpace::kTokens, "needs the rows of the tokens"); }

  void Check(const EmbedOp& op) {
    BeforeSelection();
    Shape(op.table, op.out.width, plan_.vocabulary, 1, false);
    Write(op.out);
  }

  void Check(const AddRowOp& op) {
    BeforeSelection();
    if (const Weight* table = Find(op.table, false)) {
      Require(table->cols == op.inout.width && table->experts == 1, "a table of the wrong width");
      Require(op.fixed_row < table->rows, "a row outside the table");
      Require(op.fixed_row >= 0 || (plan_.positions > 0 && plan_.positions <= table->rows),
              "positions outside the table");
    }
    Read(op.inout);
  }

  void Check(const NormOp& op) {
    Read(op.in);
    Require(op.in.width == op.out.width, "widths differ");
    Require(op.group > 0 && op.in.width % std::max<int64_t>(op.group, 1) == 0,
            "groups do not fit the width");
    for (const WeightId id : {op.weight, op.bias}) {
      if (const Weight* weight = Find(id, true)) {
        Require((weight->cols == op.group || weight->cols == op.in.width) && weight->rows == 1 &&
                    weight->experts == 1,
                "a weight of the wrong shape");
      }
    }
    SameOrApart(op.in, op.out);
    Write(op.out);
  }

  void Check(const MatMulOp& op) {
    Read(op.in);
    Shape(op.weight, op.in.width, op.out.width, 1, false);
    Vector(op.bias, op.out.width);
    Apart(op.in, op.out);
    Write(op.out);
  }

  void Strided(const View& view, int64_t heads, int64_t size, int64_t stride) {
    const bool sane =
        heads > 0 && size > 0 && stride >= 0 && (stride == 0 || heads - 1 <= view.width / stride);
    Require(sane && view.width == (heads - 1) * stride + size, "heads do not fit the width");
  }

  void Check(const HeadMatMulOp& op) {
    Read(op.in);
    if (const Weight* weight = Find(op.weight, false)) {
      Strided(op.in, weight->experts, weight->cols, op.in_stride);
      Strided(op.out, weight->experts, weight->rows, op.out_stride);
      Require(op.out_stride >= weight->rows, "heads overlap");
    }
    Apart(op.in, op.out);
    Write(op.out);
  }

  void Check(const CopyHeadsOp& op) {
    Read(op.in);
    Strided(op.in, op.heads, op.size, op.in_stride);
    Strided(op.out, op.heads, op.size, op.out_stride);
    Require(op.out_stride >= op.size, "heads overlap");
    Apart(op.in, op.out);
    Write(op.out);
  }

  void Check(const PositionScaleOp& op) {
    BeforeSelection();
    Require(op.length > 0 && op.offset >= 0, "no length");
    Read(op.inout);
  }

  void Check(const RopeOp& op) {
    BeforeSelection();
    Read(op.inout);
    Require(op.head_size > 0 && op.inout.width % std::max<int64_t>(op.head_size, 1) == 0,
            "heads do not fit the width");
    Require(
        op.head_offset >= 0 && op.head_offset <= op.head_size &&
            static_cast<int64_t>(2 * op.inverse_frequency.size()) <= op.head_size - op.head_offset,
        "more pairs than a head has");
  }

  void Check(const AttentionOp& op) {
    BeforeSelection();
    Require(op.heads > 0 && op.kv_heads > 0 && op.k_size > 0 && op.v_size > 0, "no heads");
    Require(op.kv_heads > 0 && op.heads % std::max<int64_t>(op.kv_heads, 1) == 0,
            "heads do not share evenly");
    Require(op.q.width == op.heads * op.k_size && op.out.width == op.heads * op.v_size,
            "widths differ");
    Read(op.q);
    Apart(op.q, op.out);
    const bool reads_only = op.k.buffer < 0;
    Require(!reads_only || (op.cache >= 0 && op.v.buffer < 0), "no keys");
    if (!reads_only) {
      Read(op.k);
      Require(op.k.width == op.kv_heads * op.k_size, "widths differ");
      Apart(op.k, op.out);
    }
    Require(!op.v_in_k || (op.v.buffer < 0 && op.v_size <= op.k_size), "values outside the keys");
    if (!reads_only && !op.v_in_k) {
      Read(op.v);
      Require(op.v.width == op.kv_heads * op.v_size, "widths differ");
      Apart(op.v, op.out);
    }
    Require(
        !op.cross || (plan_.encoder_ops > 0 && !encodes_ && reads_only && !op.causal &&
                      op.window == 0 && op.position_bias == kNoWeight && op.alibi_max_bias == 0),
        "cross attention to something else than an encoder's keys");
    if (op.cache >= 0) {
      const bool known = static_cast<size_t>(op.cache) < plan_.cache_layers.size();
      Require(known, "a cache layer out of range");
      if (known) {
        const CacheLayer& layer = plan_.cache_layers[static_cast<size_t>(op.cache)];
        Require(layer.kv_heads == op.kv_heads && layer.k_size == op.k_size &&
                    layer.v_size == (op.v_in_k ? 0 : op.v_size),
                "a cache layer of another shape");
      }
    }
    Vector(op.sinks, op.heads);
    if (const Weight* bias = Find(op.position_bias, true)) {
      Require(bias->cols == op.heads && bias->rows >= 4 && bias->experts == 1,
              "a position bias of the wrong shape");
    }
    Require(op.chunk >= 0 && op.window >= 0 && (op.chunk == 0 || op.causal), "a chunk");
    if (op.selection >= 0) {
      Selection(op.selection);
      Require(op.causal && op.softcap == 0 && op.alibi_max_bias == 0,
              "chosen keys with a soft cap or a bias");
    }
    Write(op.out);
  }

  void Check(const StoreOp& op) {
    Require(encodes_, "stores keys outside an encoder");
    Read(op.k);
    Read(op.v);
    const bool known = op.cache >= 0 && static_cast<size_t>(op.cache) < plan_.cache_layers.size();
    Require(known, "a cache layer out of range");
    if (!known) return;
    const CacheLayer& layer = plan_.cache_layers[static_cast<size_t>(op.cache)];
    Require(layer.kv_heads * layer.k_size == op.k.width && layer.v_size > 0 &&
                layer.kv_heads * layer.v_size == op.v.width,
            "a cache layer of another shape");
  }

  void Selection(int selection) {
    Require(selection >= 0 && selection < plan_.selections, "a selection slot out of range");
  }

  void Check(const IndexOp& op) {
    BeforeSelection();
    Require(op.heads > 0 && op.size > 0 && op.used > 0, "no heads");
    Require(
        op.q.width == op.heads * op.size && op.k.width == op.size && op.weights.width == op.heads,
        "widths differ");
    Read(op.q);
    Read(op.k);
    Read(op.weights);
    Selection(op.selection);
    if (op.cache < 0) return;
    const bool known = static_cast<size_t>(op.cache) < plan_.cache_layers.size();
    Require(known, "a cache layer out of range");
    if (!known) return;
    const CacheLayer& layer = plan_.cache_layers[static_cast<size_t>(op.cache)];
    Require(layer.kv_heads == 1 && layer.k_size == op.size && layer.v_size == 0,
            "a cache layer of another shape");
  }

  void Check(const XieluOp& op) { Read(op.inout); }
  void Check(const CutBelowOp& op) {
    Read(op.inout);
    Require(op.inout.width > 1, "no deviation of one value");
  }
  void Check(const SoftmaxOp& op) { Read(op.inout); }

  void Check(const MixOp& op) {
    Read(op.in);
    Read(op.weights);
    const bool sane = op.inputs > 0 && op.outputs > 0 &&
                      op.in.width % std::max<int64_t>(op.inputs, 1) == 0 &&
                      op.out.width % std::max<int64_t>(op.outputs, 1) == 0;
    Require(sane && op.in.width / op.inputs == op.out.width / op.outputs &&
                op.weights.width == op.inputs * op.outputs,
            "streams do not fit the widths");
    Apart(op.in, op.out);
    Apart(op.weights, op.out);
    Write(op.out);
  }

  void Check(const MatchLengthOp& op) {
    Read(op.inout);
    Read(op.like);
    Require(op.like.width > 0 && op.inout.width % std::max<int64_t>(op.like.width, 1) == 0,
            "runs do not fit the width");
    Apart(op.inout, op.like);
  }

  void Check(const UnaryOp& op) {
    Read(op.in);
    Require(op.in.width == op.out.width, "widths differ");
    SameOrApart(op.in, op.out);
    Write(op.out);
  }

  void Check(const GatedOp& op) {
    Read(op.gate);
    Read(op.up);
    Require(op.gate.width == op.out.width && op.up.width == op.out.width, "widths differ");
    SameOrApart(op.gate, op.out);
    SameOrApart(op.up, op.out);
    Write(op.out);
  }

  void Check(const AddOp& op) {
    Read(op.a);
    Read(op.b);
    Require(op.a.width == op.out.width && op.b.width == op.out.width, "widths differ");
    SameOrApart(op.a, op.out);
    SameOrApart(op.b, op.out);
    Write(op.out);
  }

  void Check(const MulOp& op) {
    Read(op.a);
    Read(op.b);
    Require(op.a.width == op.out.width && (op.b.width == op.out.width || op.b.width == 1),
            "widths differ");
    SameOrApart(op.a, op.out);
    SameOrApart(op.b, op.out);
    Write(op.out);
  }

  void Check(const ScaleOp& op) {
    Read(op.inout);
    Vector(op.weight, op.inout.width);
  }

  void Check(const AffineOp& op) {
    Read(op.in);
    Require(op.in.width == op.out.width, "widths differ");
    Require(op.weight != kNoWeight || op.bias != kNoWeight, "a weight is missing");
    Vector(op.weight, op.in.width);
    Vector(op.bias, op.in.width);
    SameOrApart(op.in, op.out);
    Write(op.out);
  }

  // What the recurrent ops have in common: tokens, inputs of given widths apart from the output, a
  // state of the right size.
  void Recurrent(std::initializer_list<std::pair<View, int64_t>> inputs, const View& out,
                 int64_t out_width, int state, int64_t state_values) {
    BeforeSelection();
    for (const auto& [view, width] : inputs) {
      Read(view);
      Require(view.width == width, "widths differ");
      Apart(view, out);
    }
    Require(out.width == out_width, "widths differ");
    Require(state >= -1 && (state < 0 || static_cast<size_t>(state) < plan_.state_layers.size()),
            "a state layer out of range");
    if (state >= 0 && static_cast<size_t>(state) < plan_.state_layers.size()) {
      Require(plan_.state_layers[static_cast<size_t>(state)].values == state_values,
              "a state layer of another size");
    }
    Write(out);
  }

  void Check(const ConvolutionOp& op) {
    Require(op.kernel > 1, "a kernel without a past");
    Recurrent({{op.in, op.in.width}}, op.out, op.in.width, op.state, (op.kernel - 1) * op.in.width);
    Shape(op.weight, op.kernel, op.in.width, 1, true);
    Vector(op.bias, op.in.width);
  }

  void Check(const ScanOp& op) {
    const bool sizes = op.heads > 0 && op.head_size > 0 && op.state_size > 0 && op.groups > 0;
    Require(sizes && op.heads % std::max<int64_t>(op.groups, 1) == 0,
            "groups do not fit the heads");
    const int64_t width = op.heads * op.head_size, shared = op.groups * op.state_size;
    Recurrent({{op.x, width}, {op.dt, op.heads}, {op.b, shared}, {op.c, shared}}, op.out, width,
              op.state, width * op.state_size);
    if (const Weight* decay = Find(op.decay, false)) {
      Require(decay->rows == 1 && decay->experts == 1 &&
                  (decay->cols == op.heads || decay->cols == op.heads * op.state_size),
              "a weight of the wrong shape");
      Require(decay->cols == op.heads || op.head_size == 1, "a decay per value and larger heads");
    }
    Shape(op.skip, op.heads, 1, 1, false);
  }

  void Check(const DeltaOp& op) {
    const bool sizes = op.heads > 0 && op.k_heads > 0 && op.k_size > 0 && op.v_size > 0;
    Require(sizes && op.heads % std::max<int64_t>(op.k_heads, 1) == 0, "heads do not share evenly");
    const int64_t keys = op.k_heads * op.k_size, width = op.heads * op.v_size;
    const int64_t decays = op.decay.width == op.heads ? op.heads : op.heads * op.k_size;
    Recurrent({{op.q, keys}, {op.k, keys}, {op.v, width}, {op.decay, decays}, {op.beta, op.heads}},
              op.out, width, op.state, op.heads * op.k_size * op.v_size);
    Shape(op.rate, op.heads, 1, 1, false);
  }

  void Check(const WkvOp& op) {
    Require(op.heads > 0 && op.size > 0, "no heads");
    const int64_t width = op.heads * op.size;
    Recurrent({{op.r, width}, {op.w, width}, {op.k, width}, {op.v, width}}, op.out, width, op.state,
              width * op.size);
    Require((op.erase.buffer < 0) == (op.write.buffer < 0), "erase without write");
    Require(op.bonus == kNoWeight || op.erase.buffer < 0, "a bonus and an erasure");
    if (op.erase.buffer >= 0) {
      for (const View& view : {op.erase, op.write}) {
        Read(view);
        Require(view.width == width, "widths differ");
        Apart(view, op.out);
      }
    }
    Shape(op.bonus, width, 1, 1, true);
  }

  void Route(int route) {
    Require(route >= 0 && route < plan_.routes, "a route slot out of range");
  }

  void Check(const RouteOp& op) {
    Read(op.logits);
    Route(op.route);
    Require(op.logits.width == op.experts && op.used > 0 && op.used <= op.experts,
            "experts do not fit");
    Require(op.groups > 0 && op.groups_used > 0 && op.groups_used <= op.groups &&
                op.experts % std::max<int64_t>(op.groups, 1) == 0 &&
                op.used <= op.groups_used * (op.experts / std::max<int64_t>(op.groups, 1)),
            "groups do not fit the experts");
    Vector(op.selection_bias, op.experts);
    const bool folds = op.fold > 0 && op.experts % std::max<int64_t>(op.fold, 1) == 0;
    Require(folds, "experts do not fold evenly");
    if (folds) Vector(op.expert_scale, op.experts / op.fold);
  }

  void Check(const ExpertsOp& op) {
    Read(op.in);
    Route(op.route);
    const Weight* up = Find(op.up, false);
    if (up == nullptr) return;
    const int64_t hidden = up->rows, experts = up->experts;
    Shape(op.up, op.in.width, hidden, experts, false);
    Shape(op.gate, op.in.width, hidden, experts, true);
    Shape(op.down, hidden, op.out.width, experts, false);
    Shape(op.gate_bias, hidden, 1, experts, true);
    Shape(op.up_bias, hidden, 1, experts, true);
    Shape(op.down_bias, op.out.width, 1, experts, true);
    Apart(op.in, op.out);
    Write(op.out);
  }

  void Check(const SelectRowsOp& op) {
    Require(space_ != RowSpace::kSegments && !encodes_, "after pooling or in an encoder");
    Require(op.in.width == op.out.width, "widths differ");
    SameOrApart(op.in, op.out);
    if (InRange(op.in)) {
      Require(spaces_[static_cast<size_t>(op.in.buffer)] == RowSpace::kTokens,
              "the rows are selected already");
    }
    space_ = RowSpace::kOutputs;
    Write(op.out);
  }

  void Check(const PoolOp& op) {
    BeforeSelection();
    Require(!encodes_, "pooling in an encoder");
    Read(op.in);
    Require(op.in.width == op.out.width, "widths differ");
    Require(op.pooling == Pooling::kMean || op.pooling == Pooling::kFirst ||
                op.pooling == Pooling::kLast,
            "a pooling that gives no row");
    Apart(op.in, op.out);
    space_ = RowSpace::kSegments;
    Write(op.out);
  }

  void Check(const DetourOp& op) {
    Require(space_ != RowSpace::kSegments && !encodes_, "after pooling or in an encoder");
    Require(op.detour >= 0, "a detour without a number");
    Read(op.in);
    Apart(op.in, op.out);
    Write(op.out);
  }

  const Plan& plan_;
  std::vector<RowSpace> spaces_;
  RowSpace space_ = RowSpace::kTokens;
  bool encodes_ = false;  // the op belongs to an encoder
  std::string problem_;
};

}  // namespace

Status ValidatePlan(const Plan& plan) { return Checker(plan).Run(); }

}  // namespace puna::backend
