#include "model/recurrent_block.h"

#include "model/blocks.h"

namespace puna::model {
namespace {

const LayerConfig& ConfigOf(PlanBuilder* plan, int64_t layer) {
  return plan->config().layers[static_cast<size_t>(layer)];
}

struct Build {
  PlanBuilder* plan;
  int64_t layer;
  View in;

  View operator()(const MambaConfig& config) const { return MambaBlock(plan, layer, config, in); }
  View operator()(const Mamba2Config& config) const { return Mamba2Block(plan, layer, config, in); }
  View operator()(const ShortConvolutionConfig& config) const {
    return ShortConvolutionBlock(plan, layer, config, in);
  }
  View operator()(const DeltaNetConfig& config) const {
    return DeltaNetBlock(plan, layer, config, in);
  }
  View operator()(const RwkvConfig& config) const { return TimeMix(plan, layer, config, in); }
};

// The tensor of the output projection.
struct OutputName {
  const char* operator()(const MambaConfig&) const { return "ssm_out"; }
  const char* operator()(const Mamba2Config&) const { return "ssm_out"; }
  const char* operator()(const ShortConvolutionConfig&) const { return "shortconv.out_proj"; }
  const char* operator()(const DeltaNetConfig& config) const {
    return config.decay_per_key ? "attn_output" : "ssm_out";
  }
  const char* operator()(const RwkvConfig&) const { return "time_mix_output"; }
};

}  // namespace

View RecurrentBlock(PlanBuilder* plan, int64_t layer, View in) {
  return std::visit(Build{plan, layer, in}, *ConfigOf(plan, layer).recurrent);
}

View RecurrentOutput(PlanBuilder* plan, int64_t layer, View mixed) {
  const View out = plan->Scratch("recurrent_out", plan->config().width);
  const char* name = std::visit(OutputName{}, *ConfigOf(plan, layer).recurrent);
  plan->Linear(plan->Name(layer, name), mixed, out, false);
  return out;
}

Mixed MixerBlock(PlanBuilder* plan, int64_t layer, View in) {
  const LayerConfig& config = ConfigOf(plan, layer);
  Mixed mixed;
  if (config.attends)
    mixed.attention = config.attention.linear ? in : AttentionBlock(plan, layer, in);
  if (config.recurrent) mixed.recurrent = RecurrentBlock(plan, layer, in);
  return mixed;
}

View MixerOutput(PlanBuilder* plan, int64_t layer, const Mixed& mixed) {
  if (mixed.attention.buffer < 0) return RecurrentOutput(plan, layer, mixed.recurrent);
  const View out = AttentionOutput(plan, layer, mixed.attention);
  if (mixed.recurrent.buffer >= 0) {
    const View other = RecurrentOutput(plan, layer, mixed.recurrent);
    plan->Add(backend::AddOp{.a = out, .b = other, .out = out});
  }
  return out;
}

void Convolve(PlanBuilder* plan, const std::string& name, std::initializer_list<int64_t> dims,
              int64_t kernel, View in, View out) {
  backend::ConvolutionOp op{.in = in, .out = out};
  op.kernel = kernel;
  op.state = plan->AddStateLayer((kernel - 1) * in.width);
  op.weight =
      plan->Reshaped(name + ".weight", dims, kernel, {.count = in.width, .total = in.width});
  op.bias = plan->OptionalVector(name + ".bias", in.width);
  plan->Add(op);
}

void ActivateInPlace(PlanBuilder* plan, Activation activation, View inout) {
  plan->Add(backend::UnaryOp{.activation = activation, .in = inout, .out = inout});
}

}  // namespace puna::model
