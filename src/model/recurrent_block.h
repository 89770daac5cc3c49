// Mixers that carry a state along the tokens instead of looking back, one file each. Internal to
// model/.
//
// Each takes the normed input of its layer [width] and returns what goes into the output projection
// of the mixer; RecurrentOutput is that projection. They keep their states in layers that they add
// to the plan (PlanBuilder::AddStateLayer).
#ifndef PUNA_MODEL_RECURRENT_BLOCK_H_
#define PUNA_MODEL_RECURRENT_BLOCK_H_

#include "model/plan_builder.h"

namespace puna::model {

// The mixer that LayerConfig::recurrent asks for. REQUIRES: it asks for one.
View RecurrentBlock(PlanBuilder* plan, int64_t layer, View in);
// [width]
View RecurrentOutput(PlanBuilder* plan, int64_t layer, View mixed);

// Mamba 1 (Gu, Dao 2023), also with Jamba's norms or in PLaMo 2's arrangement. [inner]
View MambaBlock(PlanBuilder* plan, int64_t layer, const MambaConfig& config, View in);
// Mamba 2 (Dao, Gu 2024). [inner]
View Mamba2Block(PlanBuilder* plan, int64_t layer, const Mamba2Config& config, View in);
// LFM 2's short convolution. [width]
View ShortConvolutionBlock(PlanBuilder* plan, int64_t layer, const ShortConvolutionConfig& config,
                           View in);
// Qwen's gated delta net or Kimi's delta attention (DeltaNetConfig::decay_per_key). [heads * size]
View DeltaNetBlock(PlanBuilder* plan, int64_t layer, const DeltaNetConfig& config, View in);
// The time mixing of RWKV 6 (Peng et al. 2024). [width]
View TimeMix(PlanBuilder* plan, int64_t layer, const RwkvConfig& config, View in);
// RWKV's feed-forward, which also sees the token before.
void ChannelMix(PlanBuilder* plan, int64_t layer, const FeedForwardConfig& config, View in,
                View out);

// For the blocks: the causal convolution "<name>.weight" [kernel, columns], whose file shape is
// `dims`, with "<name>.bias" if it exists. Input and output lie apart.
void Convolve(PlanBuilder* plan, const std::string& name, std::initializer_list<int64_t> dims,
              int64_t kernel, View in, View out);
// inout = activation(inout)
void ActivateInPlace(PlanBuilder* plan, Activation activation, View inout);

}  // namespace puna::model

#endif  // PUNA_MODEL_RECURRENT_BLOCK_H_
