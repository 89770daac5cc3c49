// The parts of a layer, each a few ops. Internal to model/. Views are what the part reads and what
// it leaves behind.
#ifndef PUNA_MODEL_BLOCKS_H_
#define PUNA_MODEL_BLOCKS_H_

#include "model/plan_builder.h"

namespace puna::model {

// embeddings of the tokens, with positions, token types and norm where the model has them. [width]
View EmbeddingBlock(PlanBuilder* plan);

// Queries, keys and values of `in`, norms and rope on them, attention. Returns what the heads saw:
// [heads * v_size].
View AttentionBlock(PlanBuilder* plan, int64_t layer, View in);
// The output projection of that. [width]
View AttentionOutput(PlanBuilder* plan, int64_t layer, View attended);

// The router of a mixture that reads the residual stream; call it before the attention is added.
void EarlyRouter(PlanBuilder* plan, int64_t layer, View x);
// Plain, gated or mixture of experts. [width]
View FeedForwardBlock(PlanBuilder* plan, int64_t layer, View in);

// Final norm, then logits, the hidden state or the pooled one, as PlanOptions say. Sets the output
// of the plan.
void OutputBlock(PlanBuilder* plan, View x);

}  // namespace puna::model

#endif  // PUNA_MODEL_BLOCKS_H_
