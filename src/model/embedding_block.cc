// The two ends of the network: embeddings in, logits or pooled states out.
#include "model/blocks.h"

namespace puna::model {

View EmbeddingBlock(PlanBuilder* plan) {
  const ModelConfig& config = plan->config();
  const View x = plan->Scratch("x", config.width);
  plan->Add(
      backend::EmbedOp{.table = plan->Matrix("token_embd.weight", config.width, config.vocabulary),
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

void Pool(PlanBuilder* plan, View x) {
  const Pooling pooling = plan->config().pooling;
  if (pooling == Pooling::kRank) {
    plan->Fail(ErrorCode::kUnsupported,
               "models that rank pairs of texts (pooling type 4) are not supported");
    return;
  }
  const View out = plan->Scratch("pooled", x.width);
  plan->Add(backend::PoolOp{.pooling = pooling, .in = x, .out = out});
  plan->SetOutput(out, true);
}

void Logits(PlanBuilder* plan, View x) {
  const ModelConfig& config = plan->config();
  const View logits = plan->Scratch("logits", config.vocabulary);
  const std::string head = plan->FirstOf({"output.weight", "token_embd.weight"});
  plan->Add(backend::MatMulOp{.in = x,
                              .out = logits,
                              .weight = plan->Matrix(plan->Has(head) ? head : "token_embd.weight",
                                                     config.width, config.vocabulary),
                              .bias = plan->OptionalVector("output.bias", config.vocabulary)});
  if (config.logit_scale != 1 || config.logit_softcap != 0) {
    plan->Add(backend::ScaleOp{.inout = logits,
                               .scale = static_cast<float>(config.logit_scale),
                               .softcap = static_cast<float>(config.logit_softcap)});
  }
  plan->SetOutput(logits, false);
}

}  // namespace

void OutputBlock(PlanBuilder* plan, View x) {
  if (plan->config().residual != ResidualForm::kPostNorm)
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
