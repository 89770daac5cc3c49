// The ops that walk along the tokens with a state.
#include <utility>

#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {
namespace {

constexpr uint32_t kThreads = 64;

}  // namespace

Status PlanCompiler::AddRecurrent(std::string_view shader, uint32_t size, RecurrentParams params,
                                  int state, std::vector<View> reads, const View& result) {
  params.result = MatrixOf(result);
  params.keeps_state = state >= 0 ? 1 : 0;
  if (state >= 0)
    params.state_offset = static_cast<uint>(compiled_.state_offsets[static_cast<size_t>(state)]);
  const uint32_t record = Record(params);
  const uint32_t groups = static_cast<uint32_t>((result.width + kThreads - 1) / kThreads);
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         const uint32_t constants[] = {kThreads, size};
         return to->Dispatch(shader, constants, record, {groups, shape.segments}, 0);
       },
       .reads = std::move(reads),
       .writes = {result},
       .hidden = state >= 0});
  return {};
}

Status PlanCompiler::Add(const ConvolutionOp& op) {
  RecurrentParams params{.a = MatrixOf(op.in)};
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.weight));
  PUNA_ASSIGN_OR_RETURN(params.bias, weights_->Floats(op.bias));
  return AddRecurrent("convolution", static_cast<uint32_t>(op.kernel), params, op.state, {op.in},
                      op.out);
}

Status PlanCompiler::Add(const ScanOp& op) {
  RecurrentParams params{.a = MatrixOf(op.x),
                         .b = MatrixOf(op.dt),
                         .c = MatrixOf(op.b),
                         .d = MatrixOf(op.c),
                         .heads = static_cast<uint>(op.heads),
                         .groups = static_cast<uint>(op.groups),
                         .head_size = static_cast<uint>(op.head_size)};
  const Weight& decay = plan_->weights[static_cast<size_t>(op.decay)];
  params.flag = decay.cols * decay.rows != op.heads ? 1 : 0;
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.decay));
  PUNA_ASSIGN_OR_RETURN(params.bias, weights_->Floats(op.skip));
  return AddRecurrent("scan", static_cast<uint32_t>(op.state_size), params, op.state,
                      {op.x, op.dt, op.b, op.c}, op.out);
}

Status PlanCompiler::Add(const DeltaOp& op) {
  RecurrentParams params{.a = MatrixOf(op.q),
                         .b = MatrixOf(op.k),
                         .c = MatrixOf(op.v),
                         .d = MatrixOf(op.decay),
                         .e = MatrixOf(op.beta),
                         .heads = static_cast<uint>(op.heads),
                         .groups = static_cast<uint>(op.k_heads),
                         .head_size = static_cast<uint>(op.v_size),
                         .flag = op.tiled ? 1u : 0u,
                         .flag2 = op.decay.width != op.heads ? 1u : 0u,
                         .scale = op.scale};
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.rate));
  return AddRecurrent("delta", static_cast<uint32_t>(op.k_size), params, op.state,
                      {op.q, op.k, op.v, op.decay, op.beta}, op.out);
}

Status PlanCompiler::Add(const WkvOp& op) {
  const bool erases = op.erase.buffer >= 0;
  RecurrentParams params{.a = MatrixOf(op.r),
                         .b = MatrixOf(op.w),
                         .c = MatrixOf(op.k),
                         .d = MatrixOf(op.v),
                         .e = MatrixOf(op.erase),
                         .f = MatrixOf(op.write),
                         .heads = static_cast<uint>(op.heads),
                         .head_size = static_cast<uint>(op.size),
                         .flag = erases ? 1u : 0u,
                         .scale = op.scale};
  PUNA_ASSIGN_OR_RETURN(params.weight, weights_->Floats(op.bonus));
  std::vector<View> reads = {op.r, op.w, op.k, op.v};
  if (erases) reads.insert(reads.end(), {op.erase, op.write});
  return AddRecurrent("wkv", static_cast<uint32_t>(op.size), params, op.state, std::move(reads),
                      op.out);
}

}  // namespace puna::backend::vulkan
