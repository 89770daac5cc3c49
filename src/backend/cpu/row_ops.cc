// Each op is a small class: what it looked up when the plan was compiled, and a loop over the rows
// of a block that calls the instruction set's table. Ops whose columns do not depend on each other
// can run on a part of them (column_unit), which lets a matrix product apply them to the columns
// that it has just written, and attention to single heads.
#include "backend/cpu/row_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/low_rank.h"
#include "backend/cpu/row_source.h"
#include "backend/cpu/stream_ops.h"
#include "backend/plan_access.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

class EmbedRows final : public RowOp {
 public:
  EmbedRows(const EmbedOp& op, const WeightStore* weights) : op_(op), weights_(weights) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    const Weight& table = weights_->weight(op_.table);
    // Looked up here and not before: a product further down the plan may share the table, and then
    // only the packed form is read and the file's bytes need not stay in memory.
    const PackedMatrix* packed = weights_->FindMatrix(op_.table);
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const int64_t token = pass.batch->tokens[static_cast<size_t>(row)];
      float* out = pass.Row(op_.out, row);
      if (packed != nullptr) {
        UnpackRow(*packed, token, out);
      } else {
        DecodeRows(table, 0, token, 1, out);
      }
      AddChangedRow(pass, pass.SegmentOf(RowKind::kTokens, row), op_.table, token, out);
      if (op_.scale != 1) pass.ops->scale(out, op_.out.width, op_.scale);
    }
  }

 private:
  EmbedOp op_;
  const WeightStore* weights_;
};

class AddTableRow final : public RowOp {
 public:
  AddTableRow(const AddRowOp& op, const Weight& table) : op_(op), table_(table) {
    scratch_floats = op.inout.width;
  }
  void Run(const Pass& pass, const Block& block, float* scratch) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const int64_t index =
          op_.fixed_row >= 0 ? op_.fixed_row : pass.positions[static_cast<size_t>(row)];
      DecodeRows(table_, 0, index, 1, scratch);
      float* inout = pass.Row(op_.inout, row);
      pass.ops->add(inout, scratch, 1, op_.inout.width, inout);
    }
  }

 private:
  AddRowOp op_;
  const Weight& table_;
};

class NormRows final : public RowOp {
 public:
  NormRows(const NormOp& op, const WeightStore& store, const float* weight, const float* bias)
      : op_(op), weight_(weight), bias_(bias) {
    width = op.out.width;
    column_unit = op.group;
    if (op.weight != kNoWeight) weight_size_ = store.weight(op.weight).cols;
    if (op.bias != kNoWeight) bias_size_ = store.weight(op.bias).cols;
  }
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const float* in = pass.Row(op_.in, row);
      float* out = pass.Row(op_.out, row);
      for (int64_t at = block.column_begin; at < block.column_end; at += op_.group) {
        pass.ops->norm(op_.kind, in + at, op_.group, op_.epsilon,
                       weight_ == nullptr ? nullptr : weight_ + at % weight_size_,
                       bias_ == nullptr ? nullptr : bias_ + at % bias_size_, out + at);
      }
    }
  }

 private:
  NormOp op_;
  const float* weight_;
  const float* bias_;
  int64_t weight_size_ = 1, bias_size_ = 1;
};

class RopeRows final : public RowOp {
 public:
  RopeRows(const RopeOp& op, int table) : op_(op), table_(table) {
    width = op.inout.width;
    column_unit = op.head_size;
  }
  void Run(const Pass& pass, const Block& block, float*) const override {
    const RopeTable& table = pass.rope_tables[static_cast<size_t>(table_)];
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      float* heads = pass.Row(op_.inout, row) + op_.head_offset;
      for (int64_t at = block.column_begin; at < block.column_end; at += op_.head_size) {
        pass.ops->rope(op_.kind, heads + at, table.pairs, table.cos + row * table.pairs,
                       table.sin + row * table.pairs);
      }
    }
  }

 private:
  RopeOp op_;
  int table_;
};

// Functions of single values of one or two views.
template <typename OpType>
class Elementwise final : public RowOp {
 public:
  explicit Elementwise(const OpType& op, int64_t columns, int64_t unit) : op_(op) {
    width = columns;
    column_unit = unit;
  }
  void Run(const Pass& pass, const Block& block, float*) const override {
    const int64_t at = block.column_begin, n = block.column_end - block.column_begin;
    for (int64_t row = block.row_begin; row < block.row_end; ++row) Row(op_, pass, row, at, n);
  }

 private:
  static void Row(const UnaryOp& op, const Pass& pass, int64_t row, int64_t at, int64_t n) {
    pass.ops->unary(op.activation, pass.Row(op.in, row) + at, n, pass.Row(op.out, row) + at);
  }
  static void Row(const GatedOp& op, const Pass& pass, int64_t row, int64_t at, int64_t n) {
    const float* gate = pass.Row(op.gate, row) + at;
    const float* up = pass.Row(op.up, row) + at;
    float* out = pass.Row(op.out, row) + at;
    if (op.limit > 0 && op.clamp_activated) {
      pass.ops->gated_limited(op.activation, gate, up, n, op.limit, out);
    } else if (op.limit > 0) {
      pass.ops->gated_clamped(gate, up, n, op.limit, op.alpha, out);
    } else {
      pass.ops->gated(op.activation, gate, up, n, out);
    }
  }
  static void Row(const AddOp& op, const Pass& pass, int64_t row, int64_t at, int64_t n) {
    pass.ops->add(pass.Row(op.a, row) + at, pass.Row(op.b, row) + at, op.scale, n,
                  pass.Row(op.out, row) + at);
  }
  static void Row(const MulOp& op, const Pass& pass, int64_t row, int64_t at, int64_t n) {
    const float* a = pass.Row(op.a, row) + at;
    float* out = pass.Row(op.out, row) + at;
    if (op.b.width == op.a.width) {
      pass.ops->mul(a, pass.Row(op.b, row) + at, n, out);
      return;
    }
    const float factor = *pass.Row(op.b, row);
    if (out != a) std::memmove(out, a, static_cast<size_t>(n) * sizeof(float));
    pass.ops->scale(out, n, factor);
  }

  OpType op_;
};

class ScaleRows final : public RowOp {
 public:
  ScaleRows(const ScaleOp& op, const float* weight) : op_(op), weight_(weight) {
    width = op.inout.width;
    column_unit = 1;
  }
  void Run(const Pass& pass, const Block& block, float*) const override {
    const int64_t n = block.column_end - block.column_begin;
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      float* x = pass.Row(op_.inout, row) + block.column_begin;
      const bool only_scaled = weight_ == nullptr && op_.offset == 0;
      if (weight_ != nullptr) pass.ops->mul(x, weight_ + block.column_begin, n, x);
      if (op_.softcap > 0 && only_scaled) {
        pass.ops->softcap(x, n, op_.scale, op_.softcap);
      } else {
        if (op_.scale != 1) pass.ops->scale(x, n, op_.scale);
        for (int64_t i = 0; op_.offset != 0 && i < n; ++i) x[i] += op_.offset;
        if (op_.softcap > 0) pass.ops->softcap(x, n, 1, op_.softcap);
      }
      for (int64_t i = 0; op_.clamp > 0 && i < n; ++i) {
        x[i] = std::clamp(x[i], -op_.clamp, op_.clamp);
      }
    }
  }

 private:
  ScaleOp op_;
  const float* weight_;
};

class CopyHeads final : public RowOp {
 public:
  explicit CopyHeads(const CopyHeadsOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const float* in = pass.Row(op_.in, row);
      float* out = pass.Row(op_.out, row);
      for (int64_t h = 0; h < op_.heads; ++h) {
        std::memcpy(out + h * op_.out_stride, in + h * op_.in_stride,
                    static_cast<size_t>(op_.size) * sizeof(float));
      }
    }
  }

 private:
  CopyHeadsOp op_;
};

class PositionScale final : public RowOp {
 public:
  explicit PositionScale(const PositionScaleOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const int64_t steps = (pass.positions[static_cast<size_t>(row)] + op_.offset) / op_.length;
      if (steps == 0) continue;
      const double factor = 1 + op_.scale * std::log1p(static_cast<double>(steps));
      pass.ops->scale(pass.Row(op_.inout, row), op_.inout.width, static_cast<float>(factor));
    }
  }

 private:
  PositionScaleOp op_;
};

class AffineRows final : public RowOp {
 public:
  AffineRows(const AffineOp& op, const float* weight, const float* bias)
      : op_(op), weight_(weight), bias_(bias) {
    width = op.out.width;
    column_unit = 1;
  }
  void Run(const Pass& pass, const Block& block, float*) const override {
    const int64_t at = block.column_begin, n = block.column_end - block.column_begin;
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const float* in = pass.Row(op_.in, row) + at;
      float* out = pass.Row(op_.out, row) + at;
      if (weight_ != nullptr) pass.ops->mul(in, weight_ + at, n, out);
      if (bias_ != nullptr) pass.ops->add(weight_ != nullptr ? out : in, bias_ + at, 1, n, out);
    }
  }

 private:
  AffineOp op_;
  const float* weight_;
  const float* bias_;
};

class SelectRows final : public RowOp {
 public:
  explicit SelectRows(const SelectRowsOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const float* in = pass.Row(op_.in, pass.batch->output_rows[static_cast<size_t>(row)]);
      float* out = pass.Row(op_.out, row);
      if (in != out) std::memcpy(out, in, static_cast<size_t>(op_.out.width) * sizeof(float));
    }
  }

 private:
  SelectRowsOp op_;
};

class PoolRows final : public RowOp {
 public:
  explicit PoolRows(const PoolOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t s = block.row_begin; s < block.row_end; ++s) {
      const Segment& segment = pass.batch->segments[static_cast<size_t>(s)];
      const int64_t last = segment.first_row + segment.tokens - 1;
      const int64_t from = op_.pooling == Pooling::kLast ? last : segment.first_row;
      const int64_t to =
          op_.pooling == Pooling::kMean || op_.pooling == Pooling::kLast ? last : segment.first_row;
      float* out = pass.Row(op_.out, s);
      const int64_t n = op_.out.width;
      std::memcpy(out, pass.Row(op_.in, from), static_cast<size_t>(n) * sizeof(float));
      for (int64_t row = from + 1; row <= to; ++row)
        pass.ops->add(out, pass.Row(op_.in, row), 1, n, out);
      if (to > from) pass.ops->scale(out, n, 1.0f / static_cast<float>(to - from + 1));
    }
  }

 private:
  PoolOp op_;
};

// The smallest sum that weights are divided by: the smallest normal number of float16.
constexpr float kSmallestWeightSum = 6.103515625e-5f;
constexpr float kOut = -std::numeric_limits<float>::infinity();

// The largest of values[0, n); ties by lower index.
int64_t ArgMax(const float* values, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (values[i] > values[best]) best = i;
  }
  return best;
}

class RouteRows final : public RowOp {
 public:
  RouteRows(const RouteOp& op, const float* bias, const float* expert_scale)
      : op_(op), bias_(bias), expert_scale_(expert_scale) {
    scratch_floats = 2 * (op.experts + op.groups);
  }
  void Run(const Pass& pass, const Block& block, float* scratch) const override {
    const RouteSlot& slot = pass.routes[static_cast<size_t>(op_.route)];
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      RouteRow(pass, pass.Row(op_.logits, row), scratch, slot.chosen + row * op_.used,
               slot.weights + row * op_.used);
    }
  }

 private:
  void RouteRow(const Pass& pass, const float* logits, float* scratch, int32_t* chosen,
                float* weights) const {
    const int64_t n = op_.experts;
    float* probability = scratch;
    float* selection = scratch + n;
    std::memcpy(probability, logits, static_cast<size_t>(n) * sizeof(float));
    if (op_.score == RouterScore::kSoftmax) pass.ops->softmax(probability, n);
    if (op_.score == RouterScore::kSigmoid)
      pass.ops->unary(Activation::kSigmoid, probability, n, probability);
    if (bias_ != nullptr) {
      pass.ops->add(probability, bias_, 1, n, selection);
    } else {
      std::memcpy(selection, probability, static_cast<size_t>(n) * sizeof(float));
    }
    // A NaN would win no comparison and choose the same expert twice.
    constexpr float kLowest = std::numeric_limits<float>::lowest();
    for (int64_t i = 0; i < n; ++i) selection[i] = selection[i] > kLowest ? selection[i] : kLowest;
    if (op_.groups > 1) KeepBestGroups(selection, scratch + 2 * n);
    for (int64_t i = 0; i < op_.used; ++i) {
      const int64_t best = ArgMax(selection, n);
      chosen[i] = static_cast<int32_t>(best / op_.fold);
      weights[i] = probability[chosen[i]];
      selection[best] = kOut;
    }
    if (op_.score == RouterScore::kSoftmaxOfSelected) pass.ops->softmax(weights, op_.used);
    float factor = op_.scale;
    if (op_.normalize) {
      float sum = 0;
      for (int64_t i = 0; i < op_.used; ++i) sum += weights[i];
      factor /= std::max(sum, kSmallestWeightSum);
    }
    if (factor != 1) pass.ops->scale(weights, op_.used, factor);
    for (int64_t i = 0; expert_scale_ != nullptr && i < op_.used; ++i) {
      weights[i] *= expert_scale_[chosen[i]];
    }
  }

  // Puts the experts of all but the best groups out of the race. A group counts by its two best
  // experts.
  void KeepBestGroups(float* selection, float* scores) const {
    const int64_t size = op_.experts / op_.groups;
    for (int64_t g = 0; g < op_.groups; ++g) {
      float first = kOut, second = kOut;
      for (int64_t i = g * size; i < (g + 1) * size; ++i) {
        if (selection[i] > first) {
          second = first;
          first = selection[i];
        } else if (selection[i] > second) {
          second = selection[i];
        }
      }
      scores[g] = size > 1 ? first + second : first;
    }
    float* kept = scores + op_.groups;
    std::fill_n(kept, op_.groups, 0.0f);
    for (int64_t i = 0; i < op_.groups_used; ++i) {
      const int64_t best = ArgMax(scores, op_.groups);
      scores[best] = kOut;
      kept[best] = 1;
    }
    for (int64_t g = 0; g < op_.groups; ++g) {
      if (kept[g] == 0) std::fill_n(selection + g * size, size, kOut);
    }
  }

  RouteOp op_;
  const float* bias_;
  const float* expert_scale_;
};

struct Maker {
  const RowOpContext& context;
  using Made = Result<std::unique_ptr<RowOp>>;

  Made operator()(const EmbedOp& op) const {
    return std::make_unique<EmbedRows>(op, context.weights);
  }
  Made operator()(const AddRowOp& op) const {
    return std::make_unique<AddTableRow>(op, context.weights->weight(op.table));
  }
  Made operator()(const NormOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* weight, context.weights->Vector(op.weight));
    PUNA_ASSIGN_OR_RETURN(const float* bias, context.weights->Vector(op.bias));
    return std::make_unique<NormRows>(op, *context.weights, weight, bias);
  }
  Made operator()(const RopeOp& op) const {
    return std::make_unique<RopeRows>(op, context.rope_table(context.program, op));
  }
  Made operator()(const UnaryOp& op) const {
    return std::make_unique<Elementwise<UnaryOp>>(op, op.out.width, 1);
  }
  Made operator()(const GatedOp& op) const {
    return std::make_unique<Elementwise<GatedOp>>(op, op.out.width, 1);
  }
  Made operator()(const AddOp& op) const {
    return std::make_unique<Elementwise<AddOp>>(op, op.out.width, 1);
  }
  Made operator()(const MulOp& op) const {
    return std::make_unique<Elementwise<MulOp>>(op, op.out.width,
                                                op.b.width == op.a.width ? 1 : op.out.width);
  }
  Made operator()(const AffineOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* weight, context.weights->Vector(op.weight));
    PUNA_ASSIGN_OR_RETURN(const float* bias, context.weights->Vector(op.bias));
    return std::make_unique<AffineRows>(op, weight, bias);
  }
  Made operator()(const ScaleOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* weight, context.weights->Vector(op.weight));
    return std::make_unique<ScaleRows>(op, weight);
  }
  Made operator()(const RouteOp& op) const {
    PUNA_ASSIGN_OR_RETURN(const float* bias, context.weights->Vector(op.selection_bias));
    PUNA_ASSIGN_OR_RETURN(const float* scale, context.weights->Vector(op.expert_scale));
    return std::make_unique<RouteRows>(op, bias, scale);
  }
  Made operator()(const SelectRowsOp& op) const { return std::make_unique<SelectRows>(op); }
  Made operator()(const PoolOp& op) const { return std::make_unique<PoolRows>(op); }
  Made operator()(const CopyHeadsOp& op) const { return std::make_unique<CopyHeads>(op); }
  Made operator()(const PositionScaleOp& op) const { return std::make_unique<PositionScale>(op); }
  Made operator()(const XieluOp& op) const { return MakeStreamOp(op); }
  Made operator()(const MixOp& op) const { return MakeStreamOp(op); }
  Made operator()(const MatchLengthOp& op) const { return MakeStreamOp(op); }
  Made operator()(const CutBelowOp& op) const { return MakeStreamOp(op); }
  Made operator()(const SoftmaxOp& op) const { return MakeStreamOp(op); }
  Made operator()(const MatMulOp&) const { return nullptr; }
  Made operator()(const IndexOp&) const { return nullptr; }
  Made operator()(const HeadMatMulOp&) const { return nullptr; }
  Made operator()(const AttentionOp&) const { return nullptr; }
  Made operator()(const StoreOp&) const { return nullptr; }
  Made operator()(const ExpertsOp&) const { return nullptr; }
  Made operator()(const ConvolutionOp&) const { return nullptr; }
  Made operator()(const ScanOp&) const { return nullptr; }
  Made operator()(const DeltaOp&) const { return nullptr; }
  Made operator()(const WkvOp&) const { return nullptr; }
  Made operator()(const DetourOp&) const {
    return MakeError(ErrorCode::kUnsupported, "the cpu backend has no detours: they lead to it");
  }
};

class RowStep final : public Step {
 public:
  RowStep(RowOps ops, RowKind rows, bool one_block)
      : ops_(std::move(ops)), rows_(rows), one_block_(one_block) {
    for (const auto& op : ops_) {
      worker_scratch_bytes =
          std::max(worker_scratch_bytes, op->scratch_floats * static_cast<int64_t>(sizeof(float)));
    }
  }
  void Run(const Pass& pass, Worker& worker) const override {
    const int64_t rows = pass.RowsOf(rows_);
    const int64_t per_block =
        one_block_ ? rows : std::clamp<int64_t>(rows / (4 * worker.count()), 1, 16);
    worker.For(rows == 0 ? 0 : DivideUp(rows, per_block), [&](int64_t block) {
      const int64_t begin = block * per_block;
      RunRows(ops_, pass, begin, std::min(begin + per_block, rows),
              reinterpret_cast<float*>(pass.ScratchOf(worker)));
    });
  }

 private:
  RowOps ops_;
  RowKind rows_;
  bool one_block_;
};

}  // namespace

void RunRows(const RowOps& ops, const Pass& pass, int64_t row_begin, int64_t row_end,
             float* scratch) {
  for (const auto& op : ops) op->Run(pass, {row_begin, row_end, 0, op->width}, scratch);
}

Result<std::unique_ptr<RowOp>> MakeRowOp(const Op& op, const RowOpContext& context) {
  PUNA_ASSIGN_OR_RETURN(std::unique_ptr<RowOp> made, std::visit(Maker{context}, op));
  if (made != nullptr && made->width == 0) {
    const OpAccess access = AccessOf(op);
    made->width = access.writes.empty() ? 0 : access.writes[0].width;
    made->column_unit = made->width;
  }
  return made;
}

std::unique_ptr<Step> MakeRowStep(RowOps ops, RowKind rows, bool one_block) {
  return std::make_unique<RowStep>(std::move(ops), rows, one_block);
}

}  // namespace puna::backend::cpu
