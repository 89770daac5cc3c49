// Alternating updates (Baykal et al. 2023) as Gemma 3n has them: the residual stream is several
// streams of which one, the active, goes through attention and feed-forward. Before a layer all are
// predicted as mixtures of each other; after it all are corrected by what the active one became
// beyond its prediction. How to mix is read from the active stream by a small router.
#include <cmath>

#include "model/blocks.h"

namespace puna::model {
namespace {

View Stream(View streams, int64_t index, int64_t width, int64_t count = 1) {
  return {streams.buffer, streams.offset + index * width, count * width};
}

// [streams]: tanh(altup_router norm(active) / width).
View Modalities(PlanBuilder* plan, int64_t layer, View active) {
  const int64_t width = plan->config().width;
  const View normed = plan->Scratch("altup_normed", width);
  plan->Norm(plan->Name(layer, "altup_router_norm"), active, normed);
  plan->Add(backend::ScaleOp{.inout = normed, .scale = 1 / static_cast<float>(width)});
  const View out = plan->Scratch("altup_modalities", plan->config().altup->streams);
  plan->Linear(plan->Name(layer, "altup_router"), normed, out);
  plan->Add(backend::UnaryOp{.activation = Activation::kTanh, .in = out, .out = out});
  return out;
}

View Predict(PlanBuilder* plan, int64_t layer, View streams) {
  const AltUpConfig& altup = *plan->config().altup;
  const View modalities =
      Modalities(plan, layer, Stream(streams, altup.active, plan->config().width));
  const View weights = plan->Scratch("altup_weights", altup.streams * altup.streams);
  plan->Linear(plan->Name(layer, "altup_predict_coef"), modalities, weights);
  const View out = plan->Scratch("predictions", streams.width);
  plan->Add(backend::MixOp{.in = streams,
                           .weights = weights,
                           .out = out,
                           .inputs = altup.streams,
                           .outputs = altup.streams});
  plan->Add(backend::AddOp{.a = out, .b = streams, .out = out});
  return out;
}

// streams = predictions + (1 + weights) * (activated - predicted active); overwrites `activated`.
void Correct(PlanBuilder* plan, int64_t layer, View predictions, View activated, View streams) {
  const AltUpConfig& altup = *plan->config().altup;
  const View modalities = Modalities(plan, layer, activated);
  const View weights = plan->Scratch("altup_weights", altup.streams);
  plan->Linear(plan->Name(layer, "altup_correct_coef"), modalities, weights);
  plan->Add(backend::ScaleOp{.inout = weights, .offset = 1});
  const View active = Stream(predictions, altup.active, plan->config().width);
  plan->Add(backend::AddOp{.a = activated, .b = active, .out = activated, .scale = -1});
  plan->Add(backend::MixOp{
      .in = activated, .weights = weights, .out = streams, .inputs = 1, .outputs = altup.streams});
  plan->Add(backend::AddOp{.a = streams, .b = predictions, .out = streams});
}

// A narrow path beside the attention: x + norm(laurel_r laurel_l x).
View Laurel(PlanBuilder* plan, int64_t layer, View x) {
  const View narrow = plan->Scratch("laurel_narrow", plan->config().altup->laurel_rank);
  const View out = plan->Scratch("laurel", x.width);
  plan->Linear(plan->Name(layer, "laurel_l"), x, narrow);
  plan->Linear(plan->Name(layer, "laurel_r"), narrow, out);
  plan->Norm(plan->Name(layer, "laurel_post_norm"), out, out);
  plan->Add(backend::AddOp{.a = out, .b = x, .out = out});
  return out;
}

// What attention and feed-forward make of the active stream.
View Activated(PlanBuilder* plan, int64_t layer, View active) {
  const NormTensors& norms = plan->config().norms;
  const View normed = plan->Scratch("normed", active.width);
  plan->Norm(plan->Name(layer, norms.attention), active, normed);
  const View laurel = Laurel(plan, layer, normed);
  const View attended = AttentionOutput(plan, layer, AttentionBlock(plan, layer, normed));
  plan->Norm(plan->Name(layer, norms.attention_output), attended, attended);
  const View x = plan->Scratch("activated", active.width);
  plan->Add(backend::AddOp{.a = attended, .b = active, .out = x});
  plan->Add(backend::AddOp{.a = x, .b = laurel, .out = x});
  plan->Add(backend::ScaleOp{.inout = x, .scale = static_cast<float>(std::sqrt(0.5))});

  plan->Norm(plan->Name(layer, norms.feed_forward), x, normed);
  const View fed = FeedForwardBlock(plan, layer, x, normed);
  plan->Norm(plan->Name(layer, norms.feed_forward_output), fed, fed);
  plan->Add(backend::AddOp{.a = x, .b = fed, .out = x});
  return x;
}

}  // namespace

// The other streams are projections of the first, as long as it is.
View SplitIntoStreams(PlanBuilder* plan, View x) {
  const int64_t width = x.width, streams = plan->config().altup->streams;
  const View out = plan->Scratch("streams", streams * width);
  plan->Add(backend::CopyHeadsOp{.in = x,
                                 .out = Stream(out, 0, width),
                                 .heads = 1,
                                 .size = width,
                                 .in_stride = width,
                                 .out_stride = width});
  const View others = Stream(out, 1, width, streams - 1);
  plan->Add(backend::HeadMatMulOp{
      .in = x,
      .out = others,
      .in_stride = 0,
      .out_stride = width,
      .weight = plan->Experts("altup_proj.weight", width, {.count = width, .total = width},
                              streams - 1)});
  plan->Add(backend::MatchLengthOp{.inout = others, .like = x});
  return out;
}

View AltUpLayer(PlanBuilder* plan, int64_t layer, View streams) {
  const AltUpConfig& altup = *plan->config().altup;
  const int64_t width = plan->config().width;
  const View predictions = Predict(plan, layer, streams);
  const View activated = Activated(plan, layer, Stream(predictions, altup.active, width));
  Correct(plan, layer, predictions, activated, streams);

  const View scaled = plan->Scratch("normed", width);
  plan->Add(backend::CopyHeadsOp{.in = Stream(streams, altup.active, width),
                                 .out = scaled,
                                 .heads = 1,
                                 .size = width,
                                 .in_stride = width,
                                 .out_stride = width});
  plan->Add(backend::ScaleOp{
      .inout = scaled,
      .weight = plan->Vector(plan->Name(layer, "altup_correct_scale.weight"), width)});
  const View delta = PerLayerEmbedding(plan, layer, scaled, false);
  for (int64_t i = 1; i < altup.streams; ++i) {
    const View stream = Stream(streams, i, width);
    plan->Add(backend::AddOp{.a = stream, .b = delta, .out = stream});
  }
  return streams;
}

// The mean of the first stream and the others' projections, each as long as the active one.
View JoinStreams(PlanBuilder* plan, View streams, bool select) {
  const AltUpConfig& altup = *plan->config().altup;
  const int64_t width = plan->config().width, others = altup.streams - 1;
  if (select) streams = SelectRows(plan, "selected_streams", streams);
  const View out = plan->Scratch("unembedded", others * width);
  plan->Add(
      backend::HeadMatMulOp{.in = Stream(streams, 1, width, others),
                            .out = out,
                            .in_stride = width,
                            .out_stride = width,
                            .weight = plan->Experts("altup_unembd_proj.weight", width,
                                                    {.count = width, .total = width}, others)});
  plan->Add(backend::MatchLengthOp{.inout = out, .like = Stream(streams, altup.active, width)});
  const View x = Stream(streams, 0, width);
  for (int64_t i = 0; i < others; ++i)
    plan->Add(backend::AddOp{.a = x, .b = Stream(out, i, width), .out = x});
  plan->Add(backend::ScaleOp{.inout = x, .scale = 1 / static_cast<float>(altup.streams)});
  return x;
}

}  // namespace puna::model
