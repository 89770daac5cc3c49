// Embeddings that every layer has of its own (Gemma 3n and 4): of the token, from one wide table,
// and of what the token's ordinary embedding says, through one wide matrix.
#include <cmath>

#include "model/blocks.h"

namespace puna::model {
namespace {

View AllLayers(PlanBuilder* plan) {
  const int64_t layers = static_cast<int64_t>(plan->config().layers.size());
  return plan->Scratch("per_layer", layers * plan->config().per_layer_width);
}

float RootOf(int64_t width) { return static_cast<float>(std::sqrt(static_cast<double>(width))); }

}  // namespace

void PerLayerEmbeddings(PlanBuilder* plan, View x) {
  const ModelConfig& config = plan->config();
  const int64_t width = config.per_layer_width;
  const View projected = AllLayers(plan),
             of_token = plan->Scratch("per_layer_token", projected.width);
  plan->Add(backend::EmbedOp{
      .table = plan->Matrix("per_layer_token_embd.weight", of_token.width, config.vocabulary),
      .out = of_token,
      .scale = RootOf(width)});
  plan->Linear("per_layer_model_proj", x, projected);
  plan->Add(backend::ScaleOp{.inout = projected, .scale = 1 / RootOf(x.width)});
  plan->Add(backend::NormOp{.in = projected,
                            .out = projected,
                            .group = width,
                            .epsilon = static_cast<float>(config.norm_epsilon),
                            .weight = plan->Vector("per_layer_proj_norm.weight", width)});
  plan->Add(backend::AddOp{.a = projected, .b = of_token, .out = projected});
  plan->Add(backend::ScaleOp{.inout = projected, .scale = 1 / RootOf(2)});
}

View PerLayerEmbedding(PlanBuilder* plan, int64_t layer, View x, bool select) {
  const int64_t width = plan->config().per_layer_width;
  View own{AllLayers(plan).buffer, layer * width, width};
  if (select) own = SelectRows(plan, "selected_per_layer", own);
  const View gate = plan->Scratch("per_layer_gate", width);
  plan->Linear(plan->Name(layer, "inp_gate"), x, gate);
  plan->Add(
      backend::GatedOp{.activation = Activation::kGeluTanh, .gate = gate, .up = own, .out = gate});
  const View out = plan->Scratch("block_out", plan->config().width);
  plan->Linear(plan->Name(layer, "proj"), gate, out);
  plan->Norm(plan->Name(layer, "post_norm"), out, out);
  return out;
}

}  // namespace puna::model
