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
// The same where the attention is latent (AttentionConfig::latent).
View LatentAttentionBlock(PlanBuilder* plan, int64_t layer, View in);
// The output projection of that. [width]
View AttentionOutput(PlanBuilder* plan, int64_t layer, View attended);

// What the mixers of a layer made of their input; a buffer < 0: there is no such mixer.
struct Mixed {
  View attention, recurrent;
};
// Attention, a recurrent mixer (model/recurrent_block.h) or both, as the config of the layer says.
Mixed MixerBlock(PlanBuilder* plan, int64_t layer, View in);
// The sum of their output projections. [width]
View MixerOutput(PlanBuilder* plan, int64_t layer, const Mixed& mixed);

// The router, or the whole of a mixture, that reads the residual stream as it is before the
// attention is added; call it then.
void EarlyMixture(PlanBuilder* plan, int64_t layer, View x);
// Plain, gated or mixture of experts. `in` is the residual stream `x` after the norm, and may be
// overwritten. [width]
View FeedForwardBlock(PlanBuilder* plan, int64_t layer, View x, View in);

// Embeddings of each layer's own, computed once from the embeddings `x`. Then, per layer: what they
// make of the residual stream `x`, to be added to it. [width] `select`: x has only the output rows.
void PerLayerEmbeddings(PlanBuilder* plan, View x);
View PerLayerEmbedding(PlanBuilder* plan, int64_t layer, View x, bool select);

// The residual stream as several side by side (ModelConfig::altup): [streams * width] from [width],
// a layer of them, and back; `select`: of the output rows.
View SplitIntoStreams(PlanBuilder* plan, View x);
View AltUpLayer(PlanBuilder* plan, int64_t layer, View streams);
View JoinStreams(PlanBuilder* plan, View streams, bool select);

// Where an encoder reads the text first (ModelConfig::encoder): its pass, from the tokens to the
// keys and values that the decoder's layers find of it in the cache. Call it before anything else.
void EncoderPass(PlanBuilder* plan);
// Behind the embeddings `x`, final norm included: the decoder, which attends to itself and to that;
// or, for embeddings, the encoder alone. [width]
View Decoder(PlanBuilder* plan, View x);
View Encoder(PlanBuilder* plan, View x, bool select);

// The rows that outputs were asked for, in a buffer of that name.
View SelectRows(PlanBuilder* plan, std::string_view name, View in);

// For mixers: turns the heads of `views` from their `head_offset`-th value on; returns the factor
// that scores grow by (RopeNumbers::score_factor).
double Rotate(PlanBuilder* plan, const RopeConfig& rope, std::initializer_list<View> views,
              int64_t head_size, int64_t head_offset);
// For mixers: AttentionConfig::temperature of the queries, if there is one.
void ScaleByPosition(PlanBuilder* plan, const AttentionConfig& attention, View queries);

// Final norm, then logits, the hidden state or the pooled one, as PlanOptions say. Sets the output
// of the plan.
void OutputBlock(PlanBuilder* plan, View x);

}  // namespace puna::model

#endif  // PUNA_MODEL_BLOCKS_H_
