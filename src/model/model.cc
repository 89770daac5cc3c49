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

View SelectRows(PlanBuilder* plan, std::string_view name, View in) {
  const View out = plan->Scratch(name, in.width);
  plan->Add(backend::SelectRowsOp{.in = in, .out = out});
  return out;
}

// Each returns where the residual stream is afterwards. `select`: drop the rows that are not asked
// for.
View SequentialLayer(PlanBuilder* plan, int64_t layer, View x, bool select) {
  const NormTensors& norms = plan->config().norms;
  View attended = AttentionBlock(plan, layer, Normed(plan, layer, norms.attention, x));
  if (select) {
    attended = SelectRows(plan, "selected_attended", attended);
    x = SelectRows(plan, "selected_x", x);
  }
  View delta = AttentionOutput(plan, layer, attended);
  OutputNorm(plan, layer, norms.attention_output, delta);
  EarlyRouter(plan, layer, x);
  AddToResidual(plan, x, delta);

  delta = FeedForwardBlock(plan, layer, Normed(plan, layer, plan->FeedForwardNorm(layer), x));
  OutputNorm(plan, layer, norms.feed_forward_output, delta);
  AddToResidual(plan, x, delta);
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
  const View delta_2 = FeedForwardBlock(plan, layer, normed);
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
  AddToResidual(plan, x, FeedForwardBlock(plan, layer, x));
  plan->Norm(plan->Name(layer, "layer_output_norm"), x, x);
  return x;
}

View Layer(PlanBuilder* plan, int64_t layer, View x, bool select) {
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
  View x = EmbeddingBlock(&builder);
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  for (int64_t layer = 0; layer < layers && builder.ok(); ++layer) {
    x = Layer(&builder, layer, x, !pooled && layer == layers - 1);
  }
  if (builder.ok()) OutputBlock(&builder, x);
  PUNA_RETURN_IF_ERROR(builder.status());
  auto plan = std::make_shared<backend::Plan>(builder.Take());
  PUNA_RETURN_IF_ERROR(backend::ValidatePlan(*plan));
  return plan;
}

}  // namespace puna::model
