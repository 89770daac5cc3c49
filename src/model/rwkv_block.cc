// RWKV 6. Every input of a product is a mixture of the token and the one before it; how much of
// each is learned (channel mixing) or itself computed from the token (time mixing).
#include "model/recurrent_block.h"

namespace puna::model {
namespace {

// The order of the five mixtures in fused tensors, and the names of the tensors that are not fused.
constexpr const char* kMixtures[] = {"w", "k", "v", "r", "g"};
// The heads' norm has an epsilon of its own: 1e-5 * 8^2.
constexpr float kHeadNormEpsilon = 64e-5f;

// out = (token before) - in
void Difference(PlanBuilder* plan, View in, View out) {
  backend::ConvolutionOp shift{.in = in, .out = out};
  shift.kernel = 2;
  shift.state = plan->AddStateLayer(in.width);
  plan->Add(shift);
  plan->Add(backend::AddOp{.a = out, .b = in, .out = out, .scale = -1});
}

// out = in + difference * weight
void Lerp(PlanBuilder* plan, View in, View difference, WeightId weight, View out) {
  plan->Add(backend::AffineOp{.in = difference, .out = out, .weight = weight});
  plan->Add(backend::AddOp{.a = out, .b = in, .out = out});
}

WeightId MixtureBias(PlanBuilder* plan, int64_t layer, int64_t index, int64_t width) {
  const std::string fused = plan->Name(layer, "time_mix_lerp_fused.weight");
  if (plan->Has(fused))
    return plan->Reshaped(fused, {width, 1, 1, 5}, width, {.first = index, .count = 1, .total = 5});
  return plan->Vector(plan->Name(layer, fmt::format("time_mix_lerp_{}.weight", kMixtures[index])),
                      width);
}

// The five mixtures of `in`, side by side.
View Mixtures(PlanBuilder* plan, int64_t layer, const RwkvConfig& config, View in) {
  const int64_t width = in.width;
  const View difference = plan->Scratch("rwkv_difference", width);
  Difference(plan, in, difference);
  const View mixed = plan->Scratch("rwkv_mixed", width);
  Lerp(plan, in, difference, plan->Vector(plan->Name(layer, "time_mix_lerp_x.weight"), width),
       mixed);
  const View narrow = plan->Scratch("rwkv_narrow", 5 * config.mix_rank);
  plan->Linear(plan->Name(layer, "time_mix_w1"), mixed, narrow);
  ActivateInPlace(plan, Activation::kTanh, narrow);
  const View all = plan->Scratch("rwkv_mixtures", 5 * width);
  for (int64_t i = 0; i < 5; ++i) {
    const View out{all.buffer, i * width, width};
    const RowSlice slice{.first = i * width, .count = width, .total = 5 * width};
    plan->Add(backend::MatMulOp{
        .in = {narrow.buffer, i * config.mix_rank, config.mix_rank},
        .out = out,
        .weight = plan->Reshaped(plan->Name(layer, "time_mix_w2.weight"),
                                 {config.mix_rank, width, 5}, config.mix_rank, slice)});
    plan->Add(backend::AffineOp{.in = out, .out = out, .bias = MixtureBias(plan, layer, i, width)});
    plan->Add(backend::MulOp{.a = out, .b = difference, .out = out});
    plan->Add(backend::AddOp{.a = out, .b = in, .out = out});
  }
  return all;
}

// exp(-exp(w)) of what the decay's narrow matrices make of `in`.
View Decay(PlanBuilder* plan, int64_t layer, const RwkvConfig& config, View in) {
  const View narrow = plan->Scratch("rwkv_decay_narrow", config.decay_rank);
  plan->Linear(plan->Name(layer, "time_mix_decay_w1"), in, narrow);
  ActivateInPlace(plan, Activation::kTanh, narrow);
  const View decay = plan->Scratch("rwkv_decay", in.width);
  plan->Add(backend::MatMulOp{
      .in = narrow,
      .out = decay,
      .weight =
          plan->Matrix(plan->Name(layer, "time_mix_decay_w2.weight"), config.decay_rank, in.width),
      .bias = plan->Vector(plan->Name(layer, "time_mix_decay.weight"), in.width)});
  ActivateInPlace(plan, Activation::kExp, decay);
  plan->Add(backend::ScaleOp{.inout = decay, .scale = -1});
  ActivateInPlace(plan, Activation::kExp, decay);
  return decay;
}

}  // namespace

View TimeMix(PlanBuilder* plan, int64_t layer, const RwkvConfig& config, View in) {
  const int64_t width = in.width, heads = width / config.head_size;
  const View mixtures = Mixtures(plan, layer, config, in);
  const auto mixture = [&](int64_t i) { return View{mixtures.buffer, i * width, width}; };
  backend::WkvOp op;
  op.w = Decay(plan, layer, config, mixture(0));
  op.k = plan->Scratch("rwkv_k", width);
  op.v = plan->Scratch("rwkv_v", width);
  op.r = plan->Scratch("rwkv_r", width);
  const View gate = plan->Scratch("rwkv_gate", width);
  plan->Linear(plan->Name(layer, "time_mix_key"), mixture(1), op.k);
  plan->Linear(plan->Name(layer, "time_mix_value"), mixture(2), op.v);
  plan->Linear(plan->Name(layer, "time_mix_receptance"), mixture(3), op.r);
  plan->Linear(plan->Name(layer, "time_mix_gate"), mixture(4), gate);
  op.out = plan->Scratch("rwkv_out", width);
  op.heads = heads;
  op.size = config.head_size;
  op.state = plan->AddStateLayer(width * config.head_size);
  op.bonus = plan->FlatMatrix(plan->Name(layer, "time_mix_first.weight"), config.head_size, heads);
  plan->Add(op);
  plan->Add(backend::NormOp{.kind = NormKind::kLayer,
                            .in = op.out,
                            .out = op.out,
                            .group = config.head_size,
                            .epsilon = kHeadNormEpsilon,
                            .weight = plan->Vector(plan->Name(layer, "time_mix_ln.weight"), width),
                            .bias = plan->Vector(plan->Name(layer, "time_mix_ln.bias"), width)});
  plan->Add(
      backend::GatedOp{.activation = Activation::kSilu, .gate = gate, .up = op.out, .out = op.out});
  return op.out;
}

void ChannelMix(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View in,
                View out) {
  const int64_t width = in.width;
  const View difference = plan->Scratch("rwkv_difference", width);
  Difference(plan, in, difference);
  const View mixed = plan->Scratch("rwkv_mixed", width);
  Lerp(plan, in, difference, plan->Vector(plan->Name(layer, "channel_mix_lerp_r.weight"), width),
       mixed);
  const View gate = plan->Scratch("rwkv_gate", width);
  plan->Linear(plan->Name(layer, "channel_mix_receptance"), mixed, gate);
  Lerp(plan, in, difference, plan->Vector(plan->Name(layer, "channel_mix_lerp_k.weight"), width),
       mixed);
  const View hidden = plan->Scratch("gate_up", config.hidden);
  plan->Linear(plan->Name(layer, "channel_mix_key"), mixed, hidden);
  ActivateInPlace(plan, Activation::kReluSquared, hidden);
  plan->Linear(plan->Name(layer, "channel_mix_value"), hidden, out);
  plan->Add(
      backend::GatedOp{.activation = Activation::kSigmoid, .gate = gate, .up = out, .out = out});
}

}  // namespace puna::model
