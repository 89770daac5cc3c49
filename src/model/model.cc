// A network as a list of ops: embeddings, then per layer attention and feed-forward around a
// residual stream, then the output. The three residual forms are the only control flow; what is
// inside the blocks is in the block files.
//
// Rows that no output was asked for are dropped as soon as nothing needs them any more: in the last
// layer, once its keys and values are in the cache and its attention is done. In a prompt that
// saves most of that layer.
#include <utility>

#include "model/blocks.h"
#include "model/model.h"

namespace puna::model {
namespace {

// x + scale * delta, in place of x.
void AddToResidual(PlanBuilder* plan, View x, View delta) {
  plan->Add(backend::AddOp{
      .a = x, .b = delta, .out = x, .scale = static_cast<float>(plan->config().residual_scale)});
}

View Normed(PlanBuilder* plan, int64_t layer, const std::string& name, View x) {
  if (name.empty()) return x;
  // ModernBERT's norm of the embeddings is also that of its first attention.
  const bool shared = layer == 0 && plan->config().embedding_norm;
  if (shared && !plan->Has(plan->Name(0, name + ".weight"))) return x;
  const View out = plan->Scratch("normed", x.width);
  plan->Norm(plan->Name(layer, name), x, out);
  return out;
}

void OutputNorm(PlanBuilder* plan, int64_t layer, const std::string& name, View inout) {
  if (!name.empty()) plan->Norm(plan->Name(layer, name), inout, inout);
}

// x += what the mixers of the layer make of it, but for rows that are not asked for.
View AddMixers(PlanBuilder* plan, int64_t layer, View x, bool select) {
  const NormTensors& norms = plan->config().norms;
  const LayerConfig& config = plan->config().layers[static_cast<size_t>(layer)];
  if (!config.attends && !config.recurrent) return select ? SelectRows(plan, "selected_x", x) : x;
  Mixed mixed = MixerBlock(plan, layer, Normed(plan, layer, norms.attention, x));
  if (select) {
    if (mixed.attention.buffer >= 0)
      mixed.attention = SelectRows(plan, "selected_attended", mixed.attention);
    if (mixed.recurrent.buffer >= 0)
      mixed.recurrent = SelectRows(plan, "selected_recurrent", mixed.recurrent);
    x = SelectRows(plan, "selected_x", x);
  }
  const View delta = MixerOutput(plan, layer, mixed);
  OutputNorm(plan, layer, norms.attention_output, delta);
  EarlyMixture(plan, layer, x);
  AddToResidual(plan, x, delta);
  return x;
}

// Each returns where the residual stream is afterwards. `select`: drop the rows that are not asked
// for.
View SequentialLayer(PlanBuilder* plan, int64_t layer, View x, bool select) {
  const NormTensors& norms = plan->config().norms;
  const LayerConfig& config = plan->config().layers[static_cast<size_t>(layer)];
  // A feed-forward that sees the token before needs the rows of all tokens.
  const bool select_late = select && config.feed_forward.channel_mix;
  x = AddMixers(plan, layer, x, select && !select_late);
  if (config.feed_forward.present) {
    const View normed = Normed(plan, layer, plan->FeedForwardNorm(layer), x);
    const View delta = FeedForwardBlock(plan, layer, x, normed);
    OutputNorm(plan, layer, norms.feed_forward_output, delta);
    AddToResidual(plan, x, delta);
  }
  if (select_late) x = SelectRows(plan, "selected_x", x);
  if (plan->config().per_layer_width > 0) {
    plan->Add(backend::AddOp{.a = x, .b = PerLayerEmbedding(plan, layer, x, select), .out = x});
  }
  const std::string scale = plan->Name(layer, "layer_output_scale.weight");
  if (plan->Has(scale)) {
    for (const float value : plan->Values(scale, 1))
      plan->Add(backend::ScaleOp{.inout = x, .scale = value});
  }
  const int64_t every = plan->config().halve_every;
  if (every > 0 && (layer + 1) % every == 0) plan->Add(backend::ScaleOp{.inout = x, .scale = 0.5});
  return x;
}

View ParallelLayer(PlanBuilder* plan, int64_t layer, View x, bool select) {
  const NormTensors& norms = plan->config().norms;
  View normed = Normed(plan, layer, norms.attention, x);
  View attended = AttentionBlock(plan, layer, normed);
  if (select) {
    attended = SelectRows(plan, "selected_attended", attended);
    normed = SelectRows(plan, "selected_normed", normed);
    x = SelectRows(plan, "selected_x", x);
  }
  // One norm serves both blocks unless the feed-forward has its own.
  const std::string own_norm = plan->Name(layer, norms.feed_forward);
  if (plan->Has(own_norm + ".weight")) plan->Norm(own_norm, x, normed);
  const View delta = AttentionOutput(plan, layer, attended);
  const View delta_2 = FeedForwardBlock(plan, layer, x, normed);
  AddToResidual(plan, x, delta);
  AddToResidual(plan, x, delta_2);
  return x;
}

View PostNormLayer(PlanBuilder* plan, int64_t layer, View x, bool select) {
  View attended = AttentionBlock(plan, layer, x);
  if (select) {
    attended = SelectRows(plan, "selected_attended", attended);
    x = SelectRows(plan, "selected_x", x);
  }
  const View delta = AttentionOutput(plan, layer, attended);
  plan->Add(backend::AddOp{.a = delta, .b = x, .out = delta});
  if (plan->Has(plan->Name(layer, "attn_norm_2.weight"))) {  // a second helping of x (jina)
    plan->Norm(plan->Name(layer, "attn_output_norm"), delta, delta);
    plan->Add(backend::AddOp{.a = delta, .b = x, .out = delta});
    plan->Norm(plan->Name(layer, "attn_norm_2"), delta, x);
  } else {
    plan->Norm(plan->Name(layer, "attn_output_norm"), delta, x);
  }
  AddToResidual(plan, x, FeedForwardBlock(plan, layer, x, x));
  plan->Norm(plan->Name(layer, "layer_output_norm"), x, x);
  return x;
}

View Layer(PlanBuilder* plan, int64_t layer, View x, bool select) {
  if (plan->config().altup) return AltUpLayer(plan, layer, x);
  switch (plan->config().residual) {
    case ResidualForm::kSequential:
      return SequentialLayer(plan, layer, x, select);
    case ResidualForm::kParallel:
      return ParallelLayer(plan, layer, x, select);
    case ResidualForm::kPostNorm:
      return PostNormLayer(plan, layer, x, select);
  }
  return x;
}

}  // namespace

Result<std::shared_ptr<const backend::Plan>> BuildPlan(const ModelConfig& config,
                                                       std::shared_ptr<const gguf::File> file,
                                                       const PlanOptions& options) {
  if (config.embeddings_only && !options.embeddings) {
    return MakeError(ErrorCode::kUnsupported,
                     "{} models compute embeddings and cannot generate text", config.architecture);
  }
  PlanBuilder builder(config, std::move(file), options);
  const bool pooled = options.embeddings && config.pooling != Pooling::kNone;
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  if (config.encoder && !options.embeddings) EncoderPass(&builder);
  View x = EmbeddingBlock(&builder);
  if (config.per_layer_width > 0) PerLayerEmbeddings(&builder, x);
  if (config.altup) x = SplitIntoStreams(&builder, x);
  if (config.encoder) {
    x = options.embeddings ? Encoder(&builder, x, !pooled) : Decoder(&builder, x);
  } else {
    for (int64_t step = 0; step < config.passes * layers && builder.ok(); ++step) {
      if (step > 0 && step % layers == 0 && config.norm_between_passes)
        builder.Norm(config.norms.output, x, x);
      x = Layer(&builder, step % layers, x, !pooled && step == config.passes * layers - 1);
    }
  }
  if (config.altup) x = JoinStreams(&builder, x, !pooled);
  if (builder.ok()) OutputBlock(&builder, x);
  builder.ScaleProducts();
  PUNA_RETURN_IF_ERROR(builder.status());
  auto plan = std::make_shared<backend::Plan>(builder.Take());
  PUNA_RETURN_IF_ERROR(backend::ValidatePlan(*plan));
  return plan;
}

}  // namespace puna::model
