// Gate and up lie side by side in one buffer, so a backend may compute both products as one. Where
// a file fuses them, they are slices of the rows: gate first, then up (phi3, ffn_gate_up_exps), or
// in turn (Ollama's gpt-oss).
#include <algorithm>
#include <cmath>

#include "model/blocks.h"
#include "model/recurrent_block.h"

namespace puna::model {
namespace {

// The hidden layer of a dense feed-forward: f(gate in) * up in.
View Gated(PlanBuilder* plan, const FeedForwardConfig& config, const std::string& gate_name,
           const std::string& up_name, int64_t hidden, View in) {
  const View both = plan->Scratch("gate_up", 2 * hidden);
  const View gate{both.buffer, 0, hidden}, up{both.buffer, hidden, hidden};
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
  if (config.cut_deviations > 0) {
    plan->Add(backend::CutBelowOp{.inout = gate,
                                  .deviations = static_cast<float>(config.cut_deviations)});
  }
  plan->Add(backend::GatedOp{.activation = config.activation,
                             .gate = gate,
                             .up = up,
                             .out = up,
                             .limit = static_cast<float>(config.limit),
                             .alpha = static_cast<float>(config.alpha),
                             .clamp_activated = config.clamp_activated});
  return up;
}

double Softplus(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// f(x), in place; mpt may divide what comes out.
void Activate(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View x) {
  if (config.xielu) {
    const XieluConfig& xielu = *config.xielu;
    plan->Add(backend::XieluOp{.inout = x,
                               .alpha_n = static_cast<float>(xielu.beta + Softplus(xielu.alpha_n)),
                               .alpha_p = static_cast<float>(Softplus(xielu.alpha_p)),
                               .beta = static_cast<float>(xielu.beta),
                               .epsilon = static_cast<float>(xielu.epsilon)});
    return;
  }
  plan->Add(backend::UnaryOp{.activation = config.activation, .in = x, .out = x});
  const std::string divisors = plan->Name(layer, "ffn.act.scales");
  if (!plan->Has(divisors)) return;
  plan->Add(backend::ScaleOp{.inout = x, .weight = plan->Reciprocals(divisors, x.width)});
}

// down(f(gate in) * up in), or down(f(up in)); `suffix` is "" or "_shexp". bitnet norms what goes
// into down.
void Dense(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, int64_t hidden,
           std::string_view suffix, View in, View out) {
  const std::string up_name = plan->Name(layer, fmt::format("ffn_up{}", suffix));
  View wide;
  if (config.gated) {
    const std::string gate_name = plan->Name(layer, fmt::format("ffn_gate{}", suffix));
    wide = Gated(plan, config, gate_name, up_name, hidden, in);
  } else {
    wide = plan->Scratch("gate_up", hidden);
    plan->Linear(up_name, in, wide, config.bias);
    Activate(plan, layer, config, wide);
  }
  const std::string sub_norm = plan->Name(layer, fmt::format("ffn_sub_norm{}", suffix));
  if (plan->Has(sub_norm + ".weight")) plan->Norm(sub_norm, wide, wide);
  plan->Linear(plan->Name(layer, fmt::format("ffn_down{}", suffix)), wide, out, config.bias);
}

View RouterLogits(PlanBuilder* plan, int64_t layer, const MoeConfig& moe, View in) {
  const View logits = plan->Scratch("router", moe.experts);
  plan->Linear(plan->Name(layer, "ffn_gate_inp"), in, logits);
  return logits;
}

// The choice of experts from "router", where their logits are.
backend::RouteOp RouteOf(PlanBuilder* plan, const MoeConfig& moe) {
  backend::RouteOp op;
  op.logits = plan->Scratch("router", moe.experts);
  op.score = moe.score;
  op.experts = moe.experts;
  op.used = moe.used;
  op.groups = moe.groups;
  op.groups_used = moe.groups_used;
  op.normalize = moe.normalize;
  op.scale = static_cast<float>(moe.scale);
  plan->UseRoutes(1);
  return op;
}

void RouteTokens(PlanBuilder* plan, int64_t layer, const MoeConfig& moe) {
  backend::RouteOp op = RouteOf(plan, moe);
  op.selection_bias = plan->OptionalVector(
      plan->FirstOf({plan->Name(layer, "exp_probs_b.bias"), plan->Name(layer, "exp_probs_b")}),
      moe.experts);
  op.expert_scale = plan->OptionalVector(plan->Name(layer, "ffn_down_exps.scale"), moe.experts);
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
  op.limit = static_cast<float>(moe.limit);
  op.alpha = static_cast<float>(config.alpha);
  op.clamp_activated = config.clamp_activated;
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

// Experts between two matrices that lead to a narrower width and back (Nemotron 3).
void MixLatentExperts(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View in,
                      View out) {
  const View latent_in = plan->Scratch("latent_in", config.moe->latent);
  const View latent_out = plan->Scratch("latent_out", config.moe->latent);
  plan->Linear(plan->Name(layer, "ffn_latent_down"), in, latent_in, false);
  MixExperts(plan, layer, config, latent_in, latent_out);
  plan->Linear(plan->Name(layer, "ffn_latent_up"), latent_out, out, false);
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

// out += scale * the mixture of the experts that whole groups share, which reads `out`.
void AddChunkExperts(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View out) {
  const MoeConfig& moe = *config.moe;
  const ChunkExpertsConfig& chunks = *moe.chunks;
  const int64_t experts = moe.experts / chunks.group;
  backend::RouteOp route = RouteOf(plan, moe);
  route.used = std::min(moe.used, experts);
  route.fold = chunks.group;
  plan->Add(route);
  const RowSlice hidden{.count = chunks.hidden, .total = chunks.hidden};
  const RowSlice width{.count = out.width, .total = out.width};
  const View mixed = plan->Scratch("shared", out.width);
  backend::ExpertsOp op{.in = out, .out = mixed};
  op.activation = config.activation;
  op.gate = plan->Experts(plan->Name(layer, "ffn_gate_chexps.weight"), out.width, hidden, experts);
  op.up = plan->Experts(plan->Name(layer, "ffn_up_chexps.weight"), out.width, hidden, experts);
  op.down =
      plan->Experts(plan->Name(layer, "ffn_down_chexps.weight"), chunks.hidden, width, experts);
  plan->Add(op);
  plan->Add(
      backend::AddOp{.a = out, .b = mixed, .out = out, .scale = static_cast<float>(chunks.scale)});
}

// A mixture of which the router has spoken.
void Mixture(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View in, View out) {
  RouteTokens(plan, layer, *config.moe);
  if (config.moe->latent > 0) {
    MixLatentExperts(plan, layer, config, in, out);
  } else {
    MixExperts(plan, layer, config, in, out);
  }
  if (config.moe->chunks) AddChunkExperts(plan, layer, config, out);
  if (config.moe->shared_hidden > 0) AddSharedExpert(plan, layer, config, in, out);
  if (!config.moe->shared_is_activation) return;
  plan->Add(backend::UnaryOp{.activation = config.activation, .in = in, .out = in});
  plan->Add(backend::AddOp{.a = out, .b = in, .out = out});
}

// Gemma 4: a dense feed-forward and a mixture side by side on `x`, each between norms of its own.
// The router reads x at length one, times a scale of its own.
View DenseBesideMixture(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View x,
                        View in, View out) {
  const View router_in = plan->Scratch("router_in", x.width);
  plan->Add(backend::NormOp{.in = x,
                            .out = router_in,
                            .group = x.width,
                            .epsilon = static_cast<float>(plan->config().norm_epsilon)});
  plan->Add(
      backend::ScaleOp{.inout = router_in,
                       .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(x.width))),
                       .weight = plan->Vector(plan->Name(layer, "ffn_gate_inp.scale"), x.width)});
  RouterLogits(plan, layer, *config.moe, router_in);
  Dense(plan, layer, config, config.hidden, "", in, out);
  plan->Norm(plan->Name(layer, "post_ffw_norm_1"), out, out);

  const View normed = plan->Scratch("normed_2", x.width), mixed = plan->Scratch("mixed", x.width);
  plan->Norm(plan->Name(layer, "pre_ffw_norm_2"), x, normed);
  Mixture(plan, layer, config, normed, mixed);
  plan->Norm(plan->Name(layer, "post_ffw_norm_2"), mixed, mixed);
  plan->Add(backend::AddOp{.a = out, .b = mixed, .out = out});
  return out;
}

}  // namespace

void EarlyMixture(PlanBuilder* plan, int64_t layer, View x) {
  const FeedForwardConfig& config = plan->config().layers[static_cast<size_t>(layer)].feed_forward;
  if (!config.moe) return;
  if (config.moe->router_sees_residual) RouterLogits(plan, layer, *config.moe, x);
  if (config.moe->form != MixtureForm::kOfLayerInput) return;
  const View normed = plan->Scratch("normed_2", x.width);
  plan->Norm(plan->Name(layer, "ffn_norm_exps"), x, normed);
  RouterLogits(plan, layer, *config.moe, normed);
  Mixture(plan, layer, config, normed, plan->Scratch("mixed", x.width));
}

View FeedForwardBlock(PlanBuilder* plan, int64_t layer, View x, View in) {
  const FeedForwardConfig& config = plan->config().layers[static_cast<size_t>(layer)].feed_forward;
  if (config.only_activation) {
    plan->Add(backend::UnaryOp{.activation = config.activation, .in = in, .out = in});
    return in;
  }
  const View out = plan->Scratch("block_out_2", plan->config().width);
  if (config.channel_mix) {
    ChannelMix(plan, layer, config, in, out);
    return out;
  }
  const MixtureForm form = config.moe ? config.moe->form : MixtureForm::kAlone;
  if (form == MixtureForm::kOwnNorms) return DenseBesideMixture(plan, layer, config, x, in, out);
  if (!config.moe || form == MixtureForm::kOfLayerInput) {
    Dense(plan, layer, config, config.hidden, "", in, out);
  } else {
    if (!config.moe->router_sees_residual) RouterLogits(plan, layer, *config.moe, in);
    Mixture(plan, layer, config, in, out);
  }
  if (form == MixtureForm::kOfLayerInput) {
    plan->Add(backend::AddOp{.a = out, .b = plan->Scratch("mixed", out.width), .out = out});
  }
  return out;
}

}  // namespace puna::model
