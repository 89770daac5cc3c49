// Gate and up lie side by side in one buffer, so a backend may compute both products as one. Where
// a file fuses them, they are slices of the rows: gate first, then up (phi3, ffn_gate_up_exps), or
// in turn (Ollama's gpt-oss).
#include "model/blocks.h"

namespace puna::model {
namespace {

// down(f(gate in) * up in), or down(f(up in)); `suffix` is "" or "_shexp". bitnet norms what goes
// into down.
void Dense(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, int64_t hidden,
           std::string_view suffix, View in, View out) {
  const std::string gate_name = plan->Name(layer, fmt::format("ffn_gate{}", suffix));
  const std::string up_name = plan->Name(layer, fmt::format("ffn_up{}", suffix));
  const View both = plan->Scratch("gate_up", config.gated ? 2 * hidden : hidden);
  const View up{both.buffer, config.gated ? hidden : 0, hidden};
  if (config.gated) {
    const View gate{both.buffer, 0, hidden};
    if (plan->Has(gate_name + ".weight")) {
      plan->Linear(gate_name, in, gate, config.bias);
      plan->Linear(up_name, in, up, config.bias);
    } else {
      for (const View& part : {gate, up}) {
        const RowSlice slice{.first = part.offset, .count = hidden, .total = 2 * hidden};
        const WeightId weight = plan->MatrixRows(up_name + ".weight", in.width, slice);
        plan->Add(backend::MatMulOp{.in = in,
                                    .out = part,
                                    .weight = weight,
                                    .bias = plan->OptionalVectorSlice(up_name + ".bias", slice)});
      }
    }
    plan->Add(backend::GatedOp{.activation = config.activation,
                               .gate = gate,
                               .up = up,
                               .out = up,
                               .limit = static_cast<float>(config.limit),
                               .alpha = static_cast<float>(config.alpha)});
  } else {
    plan->Linear(up_name, in, up, config.bias);
    plan->Add(backend::UnaryOp{.activation = config.activation, .in = up, .out = up});
  }
  const std::string sub_norm = plan->Name(layer, fmt::format("ffn_sub_norm{}", suffix));
  if (plan->Has(sub_norm + ".weight")) plan->Norm(sub_norm, up, up);
  plan->Linear(plan->Name(layer, fmt::format("ffn_down{}", suffix)), up, out, config.bias);
}

View RouterLogits(PlanBuilder* plan, int64_t layer, const MoeConfig& moe, View in) {
  const View logits = plan->Scratch("router", moe.experts);
  plan->Linear(plan->Name(layer, "ffn_gate_inp"), in, logits);
  return logits;
}

void RouteTokens(PlanBuilder* plan, int64_t layer, const MoeConfig& moe, View in) {
  const View logits = moe.router_sees_residual ? plan->Scratch("router", moe.experts)
                                               : RouterLogits(plan, layer, moe, in);
  backend::RouteOp op;
  op.logits = logits;
  op.score = moe.score;
  op.experts = moe.experts;
  op.used = moe.used;
  op.groups = moe.groups;
  op.groups_used = moe.groups_used;
  op.normalize = moe.normalize;
  op.scale = static_cast<float>(moe.scale);
  op.selection_bias = plan->OptionalVector(
      plan->FirstOf({plan->Name(layer, "exp_probs_b.bias"), plan->Name(layer, "exp_probs_b")}),
      moe.experts);
  plan->UseRoutes(1);
  plan->Add(op);
}

// Gate and up of one tensor "<name>.weight", "<name>.bias": its rows in turn or in halves.
void FusedExperts(PlanBuilder* plan, const std::string& name, const MoeConfig& moe, bool in_turn,
                  backend::ExpertsOp* op) {
  const int64_t hidden = moe.hidden, step = in_turn ? 2 : 1;
  const RowSlice gate{.first = 0, .count = hidden, .total = 2 * hidden, .step = step};
  const RowSlice up{
      .first = in_turn ? 1 : hidden, .count = hidden, .total = 2 * hidden, .step = step};
  op->gate = plan->Experts(name + ".weight", op->in.width, gate, moe.experts);
  op->up = plan->Experts(name + ".weight", op->in.width, up, moe.experts);
  op->gate_bias = plan->OptionalExpertVectors(name + ".bias", gate, moe.experts);
  op->up_bias = plan->OptionalExpertVectors(name + ".bias", up, moe.experts);
}

void MixExperts(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View in,
                View out) {
  const MoeConfig& moe = *config.moe;
  const RowSlice hidden{.count = moe.hidden, .total = moe.hidden},
      width{.count = out.width, .total = out.width};
  backend::ExpertsOp op{.in = in, .out = out};
  op.activation = config.activation;
  op.limit = static_cast<float>(config.limit);
  op.alpha = static_cast<float>(config.alpha);
  op.weigh_input = moe.weigh_input;
  const std::string fused = plan->Name(layer, "ffn_gate_up_exps"),
                    gate = plan->Name(layer, "ffn_gate_exps");
  const std::string up = plan->Name(layer, "ffn_up_exps"),
                    down = plan->Name(layer, "ffn_down_exps");
  if (config.gated && plan->Has(fused + ".weight")) {
    FusedExperts(plan, fused, moe, moe.fused_in_turn, &op);
  } else {
    if (config.gated) {
      op.gate = plan->Experts(gate + ".weight", in.width, hidden, moe.experts);
      op.gate_bias = plan->OptionalExpertVectors(gate + ".bias", hidden, moe.experts);
    }
    op.up = plan->Experts(up + ".weight", in.width, hidden, moe.experts);
    op.up_bias = plan->OptionalExpertVectors(up + ".bias", hidden, moe.experts);
  }
  op.down = plan->Experts(down + ".weight", moe.hidden, width, moe.experts);
  op.down_bias = plan->OptionalExpertVectors(down + ".bias", width, moe.experts);
  plan->Add(op);
}

// out += the expert that every token uses, times sigmoid(its own gate) if it has one.
void AddSharedExpert(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View in,
                     View out) {
  const View shared = plan->Scratch("shared", out.width);
  Dense(plan, layer, config, config.moe->shared_hidden, config.moe->shared_suffix, in, shared);
  const std::string gate_name = plan->Name(layer, "ffn_gate_inp_shexp.weight");
  if (plan->Has(gate_name)) {
    const View gate = plan->Scratch("shared_gate", 1);
    plan->Add(
        backend::MatMulOp{.in = in, .out = gate, .weight = plan->Vector(gate_name, in.width)});
    plan->Add(backend::UnaryOp{.activation = Activation::kSigmoid, .in = gate, .out = gate});
    plan->Add(backend::MulOp{.a = shared, .b = gate, .out = shared});
  }
  plan->Add(backend::AddOp{.a = out, .b = shared, .out = out});
  const float scale = static_cast<float>(config.moe->scale_with_shared);
  if (scale != 1) plan->Add(backend::ScaleOp{.inout = out, .scale = scale});
}

}  // namespace

void EarlyRouter(PlanBuilder* plan, int64_t layer, View x) {
  const FeedForwardConfig& config = plan->config().layers[static_cast<size_t>(layer)].feed_forward;
  if (config.moe && config.moe->router_sees_residual) RouterLogits(plan, layer, *config.moe, x);
}

View FeedForwardBlock(PlanBuilder* plan, int64_t layer, View in) {
  const FeedForwardConfig& config = plan->config().layers[static_cast<size_t>(layer)].feed_forward;
  const View out = plan->Scratch("block_out_2", plan->config().width);
  if (!config.moe) {
    Dense(plan, layer, config, config.hidden, "", in, out);
    return out;
  }
  RouteTokens(plan, layer, *config.moe, in);
  MixExperts(plan, layer, config, in, out);
  if (config.moe->shared_hidden > 0) AddSharedExpert(plan, layer, config, in, out);
  return out;
}

}  // namespace puna::model
