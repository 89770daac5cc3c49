// The two ends of the network: embeddings in, logits or pooled states out.
#include "model/blocks.h"

namespace puna::model {

namespace {

// Embeddings beyond the vocabulary are left out where layers have embeddings of their own for
// fewer.
WeightId EmbeddingTable(PlanBuilder* plan) {
  const ModelConfig& config = plan->config();
  const int64_t rows = plan->RowsOf("token_embd.weight");
  if (config.per_layer_width == 0 || rows <= config.vocabulary)
    return plan->Matrix("token_embd.weight", config.width, config.vocabulary);
  return plan->MatrixRows("token_embd.weight", config.width,
                          {.count = config.vocabulary, .total = rows});
}

}  // namespace

View EmbeddingBlock(PlanBuilder* plan) {
  const ModelConfig& config = plan->config();
  const View x = plan->Scratch("x", config.width);
  plan->Add(backend::EmbedOp{.table = EmbeddingTable(plan),
                             .out = x,
                             .scale = static_cast<float>(config.embedding_scale)});
  if (config.token_types) {
    const int64_t types = plan->RowsOf("token_types.weight");
    plan->Add(backend::AddRowOp{.table = plan->Matrix("token_types.weight", config.width, types),
                                .inout = x,
                                .fixed_row = 0});
  }
  if (config.learned_positions) {
    plan->Add(backend::AddRowOp{
        .table = plan->Matrix("position_embd.weight", config.width, config.context_length),
        .inout = x});
    plan->SetPositions(config.context_length);
  }
  if (config.embedding_norm) plan->Norm("token_embd_norm", x, x);
  return x;
}

namespace {

// Scores of the labels of a classifier, from the pooled row.
View Classify(PlanBuilder* plan, View x) {
  const ClassifierConfig& classifier = plan->config().classifier;
  if (const int64_t width = plan->RowsOf("cls.weight"); width > 0) {
    const View out = plan->Scratch("classified", width);
    plan->Linear("cls", x, out);
    plan->Add(backend::UnaryOp{.activation = classifier.activation, .in = out, .out = out});
    if (plan->Has("cls.norm.weight")) {
      plan->Add(backend::NormOp{.kind = NormKind::kLayer,
                                .in = out,
                                .out = out,
                                .group = width,
                                .epsilon = static_cast<float>(plan->config().norm_epsilon),
                                .weight = plan->Vector("cls.norm.weight", width)});
    }
    x = out;
  }
  if (const int64_t labels = plan->RowsOf("cls.output.weight"); labels > 0) {
    const View out = plan->Scratch("labels", labels);
    plan->Linear("cls.output", x, out);
    x = out;
  }
  if (classifier.softmax) plan->Add(backend::SoftmaxOp{.inout = x});
  return x;
}

// A matrix behind the pooled row (EmbeddingGemma has two), if there is one.
View AddDense(PlanBuilder* plan, const std::string& name, View x) {
  const int64_t width = plan->RowsOf(name + ".weight");
  if (width == 0) return x;
  const View out = plan->Scratch(name, width);
  plan->Linear(name, x, out);
  return out;
}

void Pool(PlanBuilder* plan, View x) {
  const Pooling pooling = plan->config().pooling;
  const bool ranks = pooling == Pooling::kRank;
  View out = plan->Scratch("pooled", x.width);
  plan->Add(backend::PoolOp{
      .pooling = ranks ? plan->config().classifier.row : pooling, .in = x, .out = out});
  if (ranks) {
    out = Classify(plan, out);
  } else {
    out = AddDense(plan, "dense_3", AddDense(plan, "dense_2", out));
  }
  plan->SetOutput(out, true);
}

void Logits(PlanBuilder* plan, View x) {
  const ModelConfig& config = plan->config();
  const View logits = plan->Scratch("logits", config.vocabulary);
  const bool tied = !plan->Has("output.weight");
  plan->Add(backend::MatMulOp{
      .in = x,
      .out = logits,
      .weight = tied ? EmbeddingTable(plan)
                     : plan->Matrix("output.weight", config.width, config.vocabulary),
      .bias = config.logit_bias ? plan->OptionalVector("output.bias", config.vocabulary)
                                : backend::kNoWeight});
  if (config.logit_scale != 1 || config.logit_softcap != 0) {
    plan->Add(backend::ScaleOp{.inout = logits,
                               .scale = static_cast<float>(config.logit_scale),
                               .softcap = static_cast<float>(config.logit_softcap)});
  }
  plan->SetOutput(logits, false);
}

}  // namespace

View SelectRows(PlanBuilder* plan, std::string_view name, View in) {
  const View out = plan->Scratch(name, in.width);
  plan->Add(backend::SelectRowsOp{.in = in, .out = out});
  return out;
}

void OutputBlock(PlanBuilder* plan, View x) {
  if (plan->config().residual != ResidualForm::kPostNorm && !plan->config().encoder)
    plan->Norm(plan->config().norms.output, x, x);
  if (!plan->options().embeddings) {
    Logits(plan, x);
  } else if (plan->config().pooling != Pooling::kNone) {
    Pool(plan, x);
  } else {
    plan->SetOutput(x, false);
  }
}

}  // namespace puna::model
