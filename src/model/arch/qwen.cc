// Qwen 2 and later: rotated halves; 2 has biases on q, k and v, 3 has norms on q and k instead.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig Qwen2(MetadataReader& in) { return ReadDecoder(in, {.rope = RopeKind::kHalves}); }

// The first one: the hidden width counts gate and up together.
ModelConfig Qwen(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  for (LayerConfig& layer : config.layers) layer.feed_forward.hidden /= 2;
  return config;
}

ModelConfig Qwen2Moe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .normalize_experts = false});
  for (LayerConfig& layer : config.layers) {
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (moe && moe->shared_hidden == 0) moe->shared_hidden = layer.feed_forward.hidden;
  }
  return config;
}

ModelConfig Qwen3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  RequireHeadNorms(&config);
  config.classifier = {.row = Pooling::kLast, .softmax = true};
  return config;
}

ModelConfig Qwen3Moe(MetadataReader& in) {
  ModelConfig config = Qwen3(in);
  config.classifier = {};
  return config;
}

// Texts written in any order on the networks of Qwen 2, OLMoE and Qwen 3 MoE: every token sees all.
ModelConfig Dream(MetadataReader& in) {
  ModelConfig config = Qwen2(in);
  MakeBidirectional(&config);
  config.logit_bias = false;
  return config;
}

ModelConfig LladaMoe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .normalize_experts = false});
  for (LayerConfig& layer : config.layers) {
    layer.attention.causal = false;
    layer.attention.qk_norm = true;
  }
  return config;
}

ModelConfig Rnd1(MetadataReader& in) {
  ModelConfig config = Qwen3(in);
  MakeBidirectional(&config);
  return config;
}

// The text half of models that see pictures; positions of text are the same in every section of the
// rope.
ModelConfig Qwen2Vl(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .epsilon = 0});
  config.logit_bias = false;
  return config;
}

ModelConfig PaddleOcr(MetadataReader& in) {
  ModelConfig config = Qwen2(in);
  MakeDense(&config);
  return config;
}

}  // namespace puna::model::arch
