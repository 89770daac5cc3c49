// Matrix products, and mixtures of experts.
#include <algorithm>
#include <utility>

#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {
namespace {

// As in matvec.comp and matmul.comp.
enum ProductKind : uint32_t { kPlain, kHeads, kChosen };
constexpr uint32_t kVectorThreads = 64, kVectorRows = 2, kMostVectorTokens = 8;
constexpr uint32_t kTileThreads = 128, kTileRows = 64, kTileTokens = 32;
// What every device allows in each direction of a grid.
constexpr uint32_t kMostGroups = 65535;
constexpr uint32_t kThreads = 128;

uint32_t Groups(int64_t n, int64_t size) { return static_cast<uint32_t>((n + size - 1) / size); }

// Few rows: each weight is decoded once and meets them in registers; many: tiles in shared memory.
Status RecordProduct(Recorder* to, uint32_t record, uint32_t type, uint32_t kind, bool aligned,
                     uint32_t rows, uint32_t tokens, uint32_t heads) {
  if (tokens == 0) return {};
  if (kind == kChosen || tokens <= kMostVectorTokens) {
    uint32_t at_once = 1;
    while (kind != kChosen && at_once < tokens) at_once *= 2;
    const uint32_t constants[] = {kVectorThreads, type, at_once, kind, aligned ? 1u : 0u};
    return to->Dispatch(
        "matvec", constants, record,
        {std::min(Groups(rows, kVectorRows), kMostGroups), Groups(tokens, at_once), heads}, tokens);
  }
  const uint32_t constants[] = {kTileThreads, type, 0, kind};
  return to->Dispatch("matmul", constants, record,
                      {Groups(rows, kTileRows), Groups(tokens, kTileTokens), heads}, tokens);
}

// What the adapters of the rows add to a product that was just recorded.
Status RecordAdapters(Recorder* to, const PassShape& shape, uint32_t record, RowKind rows,
                      uint32_t kind, uint32_t out_rows, uint32_t count, uint32_t heads) {
  if (count == 0) return {};
  const uint32_t constants[] = {kVectorThreads, static_cast<uint32_t>(rows), kind};
  for (uint32_t i = 0; i < shape.adapters; ++i) {
    to->Barrier();
    PUNA_RETURN_IF_ERROR(
        to->Dispatch("low_rank_in", constants, record, {shape.most_rank, count, heads}, i));
    to->Barrier();
    PUNA_RETURN_IF_ERROR(to->Dispatch("low_rank_out", constants, record,
                                      {Groups(out_rows, kVectorThreads), count, heads}, i));
  }
  return {};
}

bool Aligned(const Matrix& m) { return m.offset % 4 == 0 && m.stride % 4 == 0; }

}  // namespace

Status PlanCompiler::AddProduct(WeightId weight, WeightId bias, uint32_t kind, ProductParams params,
                                const View& source, const View& result) {
  const Weight& shape = plan_->weights[static_cast<size_t>(weight)];
  PUNA_ASSIGN_OR_RETURN(const DeviceMatrix matrix, weights_->Matrix(weight));
  PUNA_ASSIGN_OR_RETURN(params.bias, weights_->Floats(bias));
  params.source = MatrixOf(source);
  params.result = MatrixOf(result);
  params.weight = matrix.address;
  params.expert_bytes = matrix.expert_bytes;
  params.cols = static_cast<uint>(shape.cols);
  params.rows = static_cast<uint>(shape.rows);
  params.row_bytes = matrix.row_bytes;
  params.weight_id = static_cast<uint>(weight);
  const RowKind rows = rows_;
  const uint32_t record = Record(params), type = static_cast<uint32_t>(matrix.type);
  const uint32_t heads = kind == kHeads ? static_cast<uint32_t>(shape.experts) : 1;
  const uint32_t per_row = kind == kChosen ? params.used : 1;
  const bool aligned = Aligned(params.source) && params.in_stride % 4 == 0;
  compiled_.steps.push_back({.record = [=](Recorder* to, const PassShape& shape_of_pass) -> Status {
                               const uint32_t count = shape_of_pass.rows(rows) * per_row;
                               PUNA_RETURN_IF_ERROR(RecordProduct(to, record, type, kind, aligned,
                                                                  params.rows, count, heads));
                               return RecordAdapters(to, shape_of_pass, record, rows, kind,
                                                     params.rows, count, heads);
                             },
                             .reads = {source},
                             .writes = {result},
                             .hidden = kind == kChosen,
                             .narrow = true});
  compiled_.narrow_per_token =
      std::max<int64_t>(compiled_.narrow_per_token, int64_t{per_row} * heads);
  return {};
}

Status PlanCompiler::Add(const MatMulOp& op) {
  return AddProduct(op.weight, op.bias, kPlain, {}, op.in, op.out);
}

Status PlanCompiler::Add(const HeadMatMulOp& op) {
  ProductParams params;
  params.in_stride = static_cast<uint>(op.in_stride);
  params.out_stride = static_cast<uint>(op.out_stride);
  return AddProduct(op.weight, kNoWeight, kHeads, params, op.in, op.out);
}

Status PlanCompiler::Add(const RouteOp& op) {
  const auto route = static_cast<size_t>(op.route);
  if (chosen_slots_[route] < 0 || route_used_[route] < op.used) {
    const Slot slot{.row_floats = op.used};
    chosen_slots_[route] = NewSlot(slot);
    weight_slots_[route] = NewSlot(slot);
  }
  route_used_[route] = op.used;
  RouteParams params{.logits = MatrixOf(op.logits),
                     .chosen_slot = static_cast<uint>(chosen_slots_[route]),
                     .weight_slot = static_cast<uint>(weight_slots_[route]),
                     .score = static_cast<uint>(op.score),
                     .experts = static_cast<uint>(op.experts),
                     .used = static_cast<uint>(op.used),
                     .groups = static_cast<uint>(op.groups),
                     .groups_used = static_cast<uint>(op.groups_used),
                     .normalize = op.normalize ? 1u : 0u,
                     .fold = static_cast<uint>(op.fold),
                     .scale = op.scale};
  PUNA_ASSIGN_OR_RETURN(params.selection_bias, weights_->Floats(op.selection_bias));
  PUNA_ASSIGN_OR_RETURN(params.expert_scale, weights_->Floats(op.expert_scale));
  const RowKind rows = rows_;
  const uint32_t record = Record(params), experts = params.experts;
  compiled_.steps.push_back({.record = [=](Recorder* to, const PassShape& shape) -> Status {
                               if (shape.rows(rows) == 0) return {};
                               const uint32_t constants[] = {64, experts};
                               return to->Dispatch("route", constants, record, {shape.rows(rows)},
                                                   0);
                             },
                             .reads = {op.logits},
                             .hidden = true});
  return {};
}

// Every pair of a row and an expert is a row of its own, from the first product to the last.
Status PlanCompiler::Add(const ExpertsOp& op) {
  const auto route = static_cast<size_t>(op.route);
  const int64_t used = route_used_[route];
  const int64_t hidden = plan_->weights[static_cast<size_t>(op.up)].rows;
  if (options_.max_batch_tokens * used > kMostGroups) {
    return MakeError(ErrorCode::kUnsupported,
                     "{} tokens with {} experts each are more than {} rows",
                     options_.max_batch_tokens, used, kMostGroups);
  }
  const auto pair_slot = [&](int64_t width) {
    return SlotView(
        NewSlot({.row_floats = (width + 3) / 4 * 4, .kind = rows_, .rows_per_row = used}), width);
  };
  const View up = pair_slot(hidden), down = pair_slot(op.out.width);
  ProductParams params;
  params.chosen_slot = static_cast<uint>(chosen_slots_[route]);
  params.weight_slot = static_cast<uint>(weight_slots_[route]);
  params.used = static_cast<uint>(used);
  params.shared_input = 1;
  params.weigh = op.weigh_input ? 1 : 0;
  PUNA_RETURN_IF_ERROR(AddProduct(op.up, op.up_bias, kChosen, params, op.in, up));
  View gate = up;
  if (op.gate != kNoWeight) {
    gate = pair_slot(hidden);
    PUNA_RETURN_IF_ERROR(AddProduct(op.gate, op.gate_bias, kChosen, params, op.in, gate));
  }
  // A gated unit, or a plain one.
  const uint32_t kind = op.gate != kNoWeight ? 2 : 0;
  const uint32_t record = Record(ElementParams{.a = MatrixOf(gate),
                                               .b = MatrixOf(up),
                                               .result = MatrixOf(up),
                                               .limit = op.limit,
                                               .alpha = op.alpha});
  const RowKind rows = rows_;
  const uint32_t activation = static_cast<uint32_t>(op.activation), pairs = params.used;
  const uint32_t clamps = op.clamp_activated ? 1 : 0;
  compiled_.steps.push_back({.record = [=](Recorder* to, const PassShape& shape) -> Status {
                               if (shape.rows(rows) == 0) return {};
                               const uint32_t constants[] = {kThreads, kind, activation, clamps};
                               return to->Dispatch(
                                   "element", constants, record,
                                   {Groups(hidden, kThreads), shape.rows(rows) * pairs}, 0);
                             },
                             .reads = {gate, up},
                             .writes = {up}});
  params.shared_input = 0;
  params.weigh = 0;
  PUNA_RETURN_IF_ERROR(AddProduct(op.down, op.down_bias, kChosen, params, up, down));
  const uint32_t combine = Record(CombineParams{.source = MatrixOf(down),
                                                .result = MatrixOf(op.out),
                                                .weight_slot = params.weight_slot,
                                                .used = pairs,
                                                .weighed = op.weigh_input ? 0u : 1u});
  AddColumns("combine", {kThreads}, combine, op.out.width, {down}, {op.out}, true);
  return {};
}

}  // namespace puna::backend::vulkan
