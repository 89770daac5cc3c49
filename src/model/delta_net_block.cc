// The gated delta net of Qwen 3 Next and 3.5, and Kimi's delta attention: queries, keys and values
// go through short convolutions, then the delta rule over keys of length 1, then a norm of each
// head and a gate.
#include <cmath>

#include "model/recurrent_block.h"

namespace puna::model {
namespace {

// Queries and keys of length 1.
void UnitHeads(PlanBuilder* plan, int64_t size, View inout) {
  plan->Add(backend::NormOp{.kind = NormKind::kL2,
                            .in = inout,
                            .out = inout,
                            .group = size,
                            .epsilon = static_cast<float>(plan->config().norm_epsilon)});
}

// A norm of each head, then times f(gate).
void NormAndGate(PlanBuilder* plan, int64_t layer, int64_t size, Activation activation, View gate,
                 View inout) {
  backend::NormOp op{.in = inout, .out = inout, .group = size};
  op.epsilon = static_cast<float>(plan->config().norm_epsilon);
  op.weight = plan->Vector(plan->Name(layer, "ssm_norm.weight"), size);
  plan->Add(op);
  plan->Add(backend::GatedOp{.activation = activation, .gate = gate, .up = inout, .out = inout});
}

void CopyHeads(PlanBuilder* plan, int64_t heads, int64_t size, View in, int64_t in_stride,
               View out) {
  plan->Add(backend::CopyHeadsOp{.in = {in.buffer, in.offset, (heads - 1) * in_stride + size},
                                 .out = out,
                                 .heads = heads,
                                 .size = size,
                                 .in_stride = in_stride,
                                 .out_stride = size});
}

struct Parts {
  View qkv, z;  // [2 * keys + values], [values]
};

// Older files of Qwen 3 Next have one matrix whose rows are, key head by key head, its query, its
// key, its values and their gates.
Parts ProjectQwen(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, View in) {
  const int64_t size = config.size, keys = config.k_heads * size, values = config.heads * size;
  const Parts parts{plan->Scratch("delta_in", 2 * keys + values),
                    plan->Scratch("delta_gate", values)};
  const std::string fused = plan->Name(layer, "ssm_in");
  if (plan->Has(plan->Name(layer, "attn_qkv.weight")) || !plan->Has(fused + ".weight")) {
    plan->Linear(plan->Name(layer, "attn_qkv"), in, parts.qkv, false);
    plan->Linear(plan->Name(layer, "attn_gate"), in, parts.z, false);
    return parts;
  }
  const int64_t group = values / config.k_heads, stride = 2 * size + 2 * group;
  const View all = plan->Scratch("delta_fused", config.k_heads * stride);
  plan->Linear(fused, in, all, false);
  const auto from = [&](int64_t offset) { return View{all.buffer, offset, 0}; };
  const auto to = [&](int64_t offset, int64_t width) {
    return View{parts.qkv.buffer, offset, width};
  };
  CopyHeads(plan, config.k_heads, size, from(0), stride, to(0, keys));
  CopyHeads(plan, config.k_heads, size, from(size), stride, to(keys, keys));
  CopyHeads(plan, config.k_heads, group, from(2 * size), stride, to(2 * keys, values));
  CopyHeads(plan, config.k_heads, group, from(2 * size + group), stride, parts.z);
  return parts;
}

// Beta and decay per head, from two matrices or one whose rows are, key head by key head, the betas
// and the decays of its value heads.
void ProjectRates(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, View in,
                  View beta, View decay) {
  const std::string fused = plan->Name(layer, "ssm_ba");
  if (plan->Has(fused + ".weight")) {
    const View both = plan->Scratch("delta_rates", 2 * config.heads);
    plan->Linear(fused, in, both, false);
    const int64_t group = config.heads / config.k_heads;
    CopyHeads(plan, config.k_heads, group, both, 2 * group, beta);
    CopyHeads(plan, config.k_heads, group, {both.buffer, group, 0}, 2 * group, decay);
  } else {
    plan->Linear(plan->Name(layer, "ssm_beta"), in, beta, false);
    plan->Linear(plan->Name(layer, "ssm_alpha"), in, decay, false);
  }
  ActivateInPlace(plan, Activation::kSigmoid, beta);
  plan->Add(
      backend::AffineOp{.in = decay,
                        .out = decay,
                        .bias = plan->Vector(plan->Name(layer, "ssm_dt.bias"), config.heads)});
}

// The delta rule over q, k and v; the op's other inputs are set.
View Attend(PlanBuilder* plan, const DeltaNetConfig& config, backend::DeltaOp op) {
  UnitHeads(plan, config.size, op.q);
  UnitHeads(plan, config.size, op.k);
  op.out = plan->Scratch("delta_out", op.v.width);
  op.heads = config.heads;
  op.k_heads = config.k_heads;
  op.k_size = op.v_size = config.size;
  op.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config.size)));
  op.tiled = config.tiled;
  op.state = plan->AddStateLayer(config.heads * config.size * config.size);
  plan->Add(op);
  return op.out;
}

// What goes through the convolution of part `name` of a Kimi layer.
View KimiPart(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, const char* name,
              View in) {
  const int64_t width = config.heads * config.size;
  const View projected = plan->Scratch("delta_in", width);
  plan->Linear(plan->Name(layer, fmt::format("attn_{}", name)), in, projected, false);
  const View out = plan->Scratch(fmt::format("delta_{}", name), width);
  Convolve(plan, plan->Name(layer, fmt::format("ssm_conv1d_{}", name)), {config.kernel, 1, width},
           config.kernel, projected, out);
  ActivateInPlace(plan, Activation::kSilu, out);
  return out;
}

// Two matrices with a narrow vector between them. [heads * size]
View ThroughNarrow(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, char name,
                   View in) {
  const View narrow = plan->Scratch("delta_narrow", config.size);
  const View out = plan->Scratch(fmt::format("delta_{}", name), config.heads * config.size);
  plan->Linear(plan->Name(layer, fmt::format("ssm_{}_a", name)), in, narrow, false);
  plan->Linear(plan->Name(layer, fmt::format("ssm_{}_b", name)), narrow, out, false);
  return out;
}

View KimiDelta(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, View in) {
  backend::DeltaOp op;
  op.q = KimiPart(plan, layer, config, "q", in);
  op.k = KimiPart(plan, layer, config, "k", in);
  op.v = KimiPart(plan, layer, config, "v", in);
  op.decay = ThroughNarrow(plan, layer, config, 'f', in);
  const std::string bias = plan->Name(layer, "ssm_dt.bias");
  plan->Add(backend::AffineOp{
      .in = op.decay, .out = op.decay, .bias = plan->Vector(bias, op.decay.width)});
  op.beta = plan->Scratch("delta_beta", config.heads);
  plan->Linear(plan->Name(layer, "ssm_beta"), in, op.beta, false);
  ActivateInPlace(plan, Activation::kSigmoid, op.beta);
  op.rate = plan->FlatMatrix(plan->Name(layer, "ssm_a"), 1, config.heads);
  const View out = Attend(plan, config, op);
  const View gate = ThroughNarrow(plan, layer, config, 'g', in);
  NormAndGate(plan, layer, config.size, Activation::kSigmoid, gate, out);
  return out;
}

}  // namespace

View DeltaNetBlock(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, View in) {
  if (config.decay_per_key) return KimiDelta(plan, layer, config, in);
  const int64_t keys = config.k_heads * config.size, values = config.heads * config.size;
  const auto [qkv_in, z] = ProjectQwen(plan, layer, config, in);
  backend::DeltaOp op;
  op.beta = plan->Scratch("delta_beta", config.heads);
  op.decay = plan->Scratch("delta_decay", config.heads);
  ProjectRates(plan, layer, config, in, op.beta, op.decay);
  const View qkv = plan->Scratch("delta_qkv", qkv_in.width);
  Convolve(plan, plan->Name(layer, "ssm_conv1d"), {config.kernel, qkv.width}, config.kernel, qkv_in,
           qkv);
  ActivateInPlace(plan, Activation::kSilu, qkv);
  op.q = {qkv.buffer, 0, keys};
  op.k = {qkv.buffer, keys, keys};
  op.v = {qkv.buffer, 2 * keys, values};
  op.rate = plan->Vector(plan->Name(layer, "ssm_a"), config.heads);
  const View out = Attend(plan, config, op);
  NormAndGate(plan, layer, config.size, Activation::kSilu, z, out);
  return out;
}

}  // namespace puna::model
