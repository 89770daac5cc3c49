// The frame of the compiler, and the ops that look at values or rows by themselves.
#include "backend/vulkan/plan_compiler.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <variant>

#include "backend/plan_access.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::vulkan {
namespace {

constexpr uint32_t kThreads = 128;
constexpr int64_t kRecordAlignment = 16;
// More than Vulkan demands, so instance.cc asks for it.
constexpr uint32_t kMostReduceThreads = 512;
constexpr uint32_t kMostHeld = 8;

// As in element.comp, reduce.comp and select.comp.
enum ElementKind : uint32_t {
  kUnary,
  kXielu,
  kGated,
  kAdd,
  kMul,
  kAffine,
  kScale,
  kPositionScale,
  kCopyHeads,
  kMix
};
enum ReduceKind : uint32_t { kRms, kLayer, kL2, kSoftmax, kMatchLength, kCutBelow };
enum SelectKind : uint32_t { kSelect, kSelectInPlace, kPool, kAnswer, kInput };

}  // namespace

PlanCompiler::PlanCompiler(const Plan* plan, const CompileOptions& options, WeightUpload* weights,
                           const AttentionTuning& tuning)
    : plan_(plan),
      options_(options),
      exact_(FileBytes(*plan) < options.exact_below_bytes),
      weights_(weights),
      tuning_(tuning) {
  chosen_slots_.resize(static_cast<size_t>(plan->routes), -1);
  weight_slots_.resize(static_cast<size_t>(plan->routes), -1);
  route_used_.resize(static_cast<size_t>(plan->routes), 0);
}

void PlanCompiler::LayOut() {
  for (const int64_t width : plan_->buffer_widths)
    compiled_.slots.push_back({.row_floats = RoundUp(width, 4), .kind = RowKind::kOutputs});
  for (const CacheLayer& layer : plan_->cache_layers) {
    const bool half = options_.kv_type != KvType::kF32;
    compiled_.cache_offsets.push_back(compiled_.page_bytes);
    const CacheParams cache = CacheOf(0, layer.kv_heads, layer.k_size, layer.v_size, half);
    compiled_.page_bytes += RoundUp(cache.scratch_page_bytes, 16);
  }
  compiled_.page_bytes = RoundUp(compiled_.page_bytes, 256);
  int64_t floats = 0;
  for (const StateLayer& layer : plan_->state_layers) {
    compiled_.state_offsets.push_back(floats);
    floats += RoundUp(layer.values, 4);
  }
  compiled_.state_bytes = RoundUp(floats * static_cast<int64_t>(sizeof(float)), 256);
  LayOutAttention();
}

Result<CompiledPlan> PlanCompiler::Compile() {
  LayOut();
  for (size_t i = 0; i < plan_->ops.size(); ++i) {
    if (i == plan_->encoder_ops) {
      compiled_.encoder_steps = compiled_.steps.size();
      AddInput();
    }
    const size_t first = compiled_.steps.size();
    PUNA_ASSIGN_OR_RETURN(const size_t joined, AddJoined(i));
    if (joined == 0) {
      PUNA_RETURN_IF_ERROR(std::visit([this](const auto& op) { return Add(op); }, plan_->ops[i]));
    }
    for (size_t s = first; s < compiled_.steps.size(); ++s) {
      for (const auto* views : {&compiled_.steps[s].reads, &compiled_.steps[s].writes}) {
        for (const View& view : *views) {
          Slot& slot = compiled_.slots[static_cast<size_t>(view.buffer)];
          if (rows_ == RowKind::kTokens) slot.kind = RowKind::kTokens;
        }
      }
    }
    if (joined > 0) i += joined - 1;
    if (std::holds_alternative<SelectRowsOp>(plan_->ops[i])) {
      compiled_.slots[static_cast<size_t>(std::get<SelectRowsOp>(plan_->ops[i]).in.buffer)].kind =
          RowKind::kTokens;
    }
  }
  AddOutput();
  return std::move(compiled_);
}

void PlanCompiler::AddInput() {
  const View& input = plan_->input;
  if (input.buffer < 0) return;
  const uint32_t record =
      Record(SelectParams{.source = MatrixOf(input), .result = MatrixOf(input)});
  AddColumns("select", {kThreads, kInput}, record, input.width, {}, {input});
  compiled_.slots[static_cast<size_t>(input.buffer)].kind = RowKind::kTokens;
}

// Rows that are all wanted are copied by the program (VulkanProgram::RecordAnswer).
void PlanCompiler::AddOutput() {
  compiled_.output_rows = rows_;
  if (rows_ == RowKind::kOutputs) AddRanking();
  if (rows_ != RowKind::kTokens) return;
  const uint32_t record = Record(SelectParams{.source = MatrixOf(plan_->output)});
  const uint32_t groups = Groups(plan_->output.width, kThreads);
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         if (shape.outputs == 0) return {};
         const uint32_t constants[] = {kThreads, kAnswer};
         return to->Dispatch("select", constants, record, {groups, shape.outputs}, 0);
       },
       .reads = {plan_->output},
       .hidden = true});
}

Matrix PlanCompiler::MatrixOf(const View& view) const {
  if (view.buffer < 0) return {};
  const Slot& slot = compiled_.slots[static_cast<size_t>(view.buffer)];
  return {
      static_cast<uint64_t>(view.buffer) << 40 | static_cast<uint64_t>(view.offset) * sizeof(float),
      static_cast<uint>(slot.row_floats), static_cast<uint>(view.width)};
}

int PlanCompiler::NewSlot(Slot slot) {
  compiled_.slots.push_back(slot);
  return static_cast<int>(compiled_.slots.size()) - 1;
}

uint32_t PlanCompiler::RecordBytes(const void* bytes, size_t size) {
  std::vector<uint8_t>& records = compiled_.records;
  const auto offset =
      static_cast<size_t>(RoundUp(static_cast<int64_t>(records.size()), kRecordAlignment));
  records.resize(offset + size);
  std::memcpy(records.data() + offset, bytes, size);
  return static_cast<uint32_t>(offset);
}

void PlanCompiler::AddColumns(std::string_view shader, std::vector<uint32_t> constants,
                              uint32_t record, int64_t columns, std::initializer_list<View> reads,
                              std::initializer_list<View> writes, bool hidden) {
  const RowKind rows = rows_;
  const uint32_t groups = Groups(columns, constants[0]);
  compiled_.steps.push_back(
      {.record = [=, constants = std::move(constants)](Recorder* to,
                                                       const PassShape& shape) -> Status {
         if (shape.rows(rows) == 0) return {};
         return to->Dispatch(shader, constants, record, {groups, shape.rows(rows)}, 0);
       },
       .reads = reads,
       .writes = writes,
       .hidden = hidden});
}

void PlanCompiler::AddElement(uint32_t kind, const ElementParams& params, int64_t columns,
                              std::initializer_list<View> reads, const View& result,
                              Activation activation, bool clamp_activated) {
  AddColumns("element",
             {kThreads, kind, static_cast<uint32_t>(activation), clamp_activated ? 1u : 0u},
             Record(params), columns, reads, {result});
}

void PlanCompiler::AddReduce(uint32_t kind, const ReduceParams& params, int64_t runs,
                             std::initializer_list<View> reads, const View& result) {
  const RowKind rows = rows_;
  const uint32_t record = Record(params);
  // Few values for each invocation: one row has no other work to hide their latency behind.
  const uint32_t threads =
      std::clamp<uint32_t>(std::bit_ceil(params.group / 8), 32, kMostReduceThreads);
  const auto aligned = [](const Matrix& m) { return m.address % 16 == 0 && m.stride % 4 == 0; };
  uint32_t held = 0;
  if ((kind == kRms || kind == kL2) && params.bias == 0 && params.group % 4 == 0 &&
      aligned(params.source) && aligned(params.result))
    held = Groups(params.group / 4, threads);
  if (held > kMostHeld) held = 0;
  compiled_.steps.push_back({.record = [=](Recorder* to, const PassShape& shape) -> Status {
                               if (shape.rows(rows) == 0) return {};
                               const uint32_t constants[] = {threads, kind, held};
                               return to->Dispatch("reduce", constants, record,
                                                   {static_cast<uint32_t>(runs), shape.rows(rows)},
                                                   0);
                             },
                             .reads = reads,
                             .writes = {result}});
}

Status PlanCompiler::Add(const EmbedOp& op) {
  const Weight& weight = plan_->weights[static_cast<size_t>(op.table)];
  PUNA_ASSIGN_OR_RETURN(const DeviceMatrix table, weights_->Matrix(op.table));
  const uint32_t record = Record(EmbedParams{.result = MatrixOf(op.out),
                                             .table = table.address,
                                             .row_bytes = table.row_bytes,
                                             .scale = op.scale,
                                             .weight_id = static_cast<uint>(op.table),
                                             .rows = static_cast<uint>(weight.rows)});
  AddColumns("embed", {kThreads, static_cast<uint32_t>(table.type), 0, 0}, record,
             (op.out.width + 7) / 8, {}, {op.out});
  const uint32_t groups = Groups(op.out.width, kThreads);
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         if (shape.adapters == 0) return {};
         const uint32_t constants[] = {kThreads};
         return to->Dispatch("low_rank_embed", constants, record, {groups, shape.tokens}, 0);
       },
       .reads = {op.out},
       .writes = {op.out}});
  return {};
}

Status PlanCompiler::Add(const AddRowOp& op) {
  PUNA_ASSIGN_OR_RETURN(const DeviceMatrix table, weights_->Matrix(op.table));
  const bool fixed = op.fixed_row >= 0;
  const uint32_t record =
      Record(EmbedParams{.result = MatrixOf(op.inout),
                         .table = table.address,
                         .row_bytes = table.row_bytes,
                         .fixed_row = static_cast<uint>(fixed ? op.fixed_row : 0)});
  AddColumns("embed", {kThreads, static_cast<uint32_t>(table.type), fixed ? 2u : 1u, 1}, record,
             (op.inout.width + 7) / 8, {op.inout}, {op.inout});
  return {};
}

Status PlanCompiler::Add(const NormOp& op) {
  ReduceParams params{.source = MatrixOf(op.in),
                      .result = MatrixOf(op.out),
                      .group = static_cast<uint>(op.group),
                      .epsilon = op.epsilon};
  const auto period = [&](WeightId id) {
    return id == kNoWeight ? 0u
                           : static_cast<uint>(plan_->weights[static_cast<size_t>(id)].cols *
                                               plan_->weights[static_cast<size_t>(id)].rows);
  };
  params.weight_period = period(op.weight);
  params.bias_period = period(op.bias);
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.weight));
  PUNA_ASSIGN_OR_RETURN(params.bias, weights_->Floats(op.bias));
  const uint32_t kind = op.kind == NormKind::kRms     ? kRms
                        : op.kind == NormKind::kLayer ? kLayer
                                                      : kL2;
  AddReduce(kind, params, op.in.width / op.group, {op.in}, op.out);
  return {};
}

Status PlanCompiler::Add(const SoftmaxOp& op) {
  const Matrix inout = MatrixOf(op.inout);
  AddReduce(kSoftmax, {.source = inout, .result = inout, .group = inout.width}, 1, {op.inout},
            op.inout);
  return {};
}

Status PlanCompiler::Add(const CutBelowOp& op) {
  const Matrix inout = MatrixOf(op.inout);
  AddReduce(kCutBelow,
            {.source = inout, .result = inout, .group = inout.width, .epsilon = op.deviations}, 1,
            {op.inout}, op.inout);
  return {};
}

Status PlanCompiler::Add(const MatchLengthOp& op) {
  const Matrix inout = MatrixOf(op.inout), like = MatrixOf(op.like);
  AddReduce(kMatchLength, {.source = inout, .result = inout, .like = like, .group = like.width},
            op.inout.width / op.like.width, {op.inout, op.like}, op.inout);
  return {};
}

Status PlanCompiler::Add(const UnaryOp& op) {
  AddElement(kUnary, {.a = MatrixOf(op.in), .result = MatrixOf(op.out)}, op.out.width, {op.in},
             op.out, op.activation);
  return {};
}

Status PlanCompiler::Add(const XieluOp& op) {
  const Matrix inout = MatrixOf(op.inout);
  AddElement(kXielu,
             {.a = inout,
              .result = inout,
              .limit = op.alpha_n,
              .alpha = op.alpha_p,
              .beta = op.beta,
              .epsilon = op.epsilon},
             op.inout.width, {op.inout}, op.inout);
  return {};
}

Status PlanCompiler::Add(const GatedOp& op) {
  AddElement(kGated,
             {.a = MatrixOf(op.gate),
              .b = MatrixOf(op.up),
              .result = MatrixOf(op.out),
              .limit = op.limit,
              .alpha = op.alpha},
             op.out.width, {op.gate, op.up}, op.out, op.activation, op.clamp_activated);
  return {};
}

Status PlanCompiler::Add(const AddOp& op) {
  AddElement(
      kAdd,
      {.a = MatrixOf(op.a), .b = MatrixOf(op.b), .result = MatrixOf(op.out), .scale = op.scale},
      op.out.width, {op.a, op.b}, op.out);
  return {};
}

Status PlanCompiler::Add(const MulOp& op) {
  AddElement(kMul, {.a = MatrixOf(op.a), .b = MatrixOf(op.b), .result = MatrixOf(op.out)},
             op.out.width, {op.a, op.b}, op.out);
  return {};
}

Status PlanCompiler::Add(const AffineOp& op) {
  ElementParams params{.a = MatrixOf(op.in), .result = MatrixOf(op.out)};
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.weight));
  PUNA_ASSIGN_OR_RETURN(params.bias, weights_->Floats(op.bias));
  AddElement(kAffine, params, op.out.width, {op.in}, op.out);
  return {};
}

Status PlanCompiler::Add(const ScaleOp& op) {
  const Matrix inout = MatrixOf(op.inout);
  ElementParams params{.a = inout,
                       .result = inout,
                       .scale = op.scale,
                       .limit = op.softcap,
                       .alpha = op.clamp,
                       .offset = op.offset};
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.weight));
  AddElement(kScale, params, op.inout.width, {op.inout}, op.inout);
  return {};
}

Status PlanCompiler::Add(const PositionScaleOp& op) {
  const Matrix inout = MatrixOf(op.inout);
  AddElement(kPositionScale,
             {.a = inout,
              .result = inout,
              .scale = op.scale,
              .period = static_cast<uint>(op.length),
              .position_offset = static_cast<uint>(op.offset)},
             op.inout.width, {op.inout}, op.inout);
  return {};
}

Status PlanCompiler::Add(const CopyHeadsOp& op) {
  AddElement(kCopyHeads,
             {.a = MatrixOf(op.in),
              .result = MatrixOf(op.out),
              .heads = static_cast<uint>(op.heads),
              .size = static_cast<uint>(op.size),
              .in_stride = static_cast<uint>(op.in_stride),
              .out_stride = static_cast<uint>(op.out_stride)},
             op.heads * op.size, {op.in}, op.out);
  return {};
}

Status PlanCompiler::Add(const MixOp& op) {
  AddElement(kMix,
             {.a = MatrixOf(op.in),
              .b = MatrixOf(op.weights),
              .result = MatrixOf(op.out),
              .heads = static_cast<uint>(op.inputs),
              .size = static_cast<uint>(op.outputs)},
             op.out.width, {op.in, op.weights}, op.out);
  return {};
}

// Layers mostly share their frequencies; equal tables are made once per pass.
uint32_t PlanCompiler::RopeTableOf(const RopeOp& op) {
  auto table = std::ranges::find_if(compiled_.ropes, [&](const RopeTable& t) {
    return t.magnitude == op.magnitude && t.inverse_frequency == op.inverse_frequency;
  });
  if (table == compiled_.ropes.end()) {
    compiled_.ropes.push_back({op.inverse_frequency, op.magnitude, compiled_.rope_values});
    compiled_.rope_values += 2 * static_cast<uint32_t>(op.inverse_frequency.size());
    table = compiled_.ropes.end() - 1;
  }
  return table->first;
}

Status PlanCompiler::Add(const RopeOp& op) {
  const auto pairs = static_cast<uint32_t>(op.inverse_frequency.size());
  const uint32_t record =
      Record(RopeParams{.inout_rows = MatrixOf(op.inout),
                        .table = RopeTableOf(op),
                        .pairs = pairs,
                        .head_size = static_cast<uint>(op.head_size),
                        .head_offset = static_cast<uint>(op.head_offset),
                        .interleaved = op.kind == RopeKind::kInterleaved ? 1u : 0u});
  AddColumns("rope", {kThreads}, record, op.inout.width / op.head_size * pairs, {op.inout},
             {op.inout});
  return {};
}

Status PlanCompiler::Add(const SelectRowsOp& op) {
  rows_ = RowKind::kOutputs;
  const uint32_t record =
      Record(SelectParams{.source = MatrixOf(op.in), .result = MatrixOf(op.out)});
  const bool in_place = Overlap(op.in, op.out);
  const int64_t columns = op.in.width;
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         if (shape.outputs == 0) return {};
         const uint32_t constants[] = {kThreads, in_place ? kSelectInPlace : kSelect};
         return to->Dispatch("select", constants, record,
                             {Groups(columns, kThreads), in_place ? 1 : shape.outputs}, 0);
       },
       .reads = {op.in},
       .writes = {op.out}});
  return {};
}

Status PlanCompiler::Add(const DetourOp& op) {
  compiled_.steps.push_back(
      {.reads = {op.in}, .writes = {op.out}, .pause = static_cast<int>(compiled_.pauses.size())});
  compiled_.pauses.push_back({op, rows_});
  return {};
}

Status PlanCompiler::Add(const PoolOp& op) {
  compiled_.slots[static_cast<size_t>(op.in.buffer)].kind = RowKind::kTokens;
  rows_ = RowKind::kSegments;
  const uint32_t record = Record(SelectParams{.source = MatrixOf(op.in),
                                              .result = MatrixOf(op.out),
                                              .pooling = static_cast<uint>(op.pooling)});
  AddColumns("select", {kThreads, kPool}, record, op.in.width, {op.in}, {op.out});
  return {};
}

}  // namespace puna::backend::vulkan
