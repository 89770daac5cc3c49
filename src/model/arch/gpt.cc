// GPT-2 and its children: layer norms with biases, plain GELU feed-forward; positions learned,
// rotated or as linear biases.
#include "model/arch/spec.h"

namespace puna::model::arch {

namespace {

ModelConfig ReadGpt(MetadataReader& in, bool has_rope) {
  return ReadDecoder(in, {.norm = NormKind::kLayer,
                          .rope = RopeKind::kHalves,
                          .has_rope = has_rope,
                          .activation = Activation::kGeluTanh,
                          .gated = false});
}

}  // namespace

ModelConfig Gpt2(MetadataReader& in) {
  ModelConfig config = ReadGpt(in, false);
  config.learned_positions = true;
  return config;
}

ModelConfig StarCoder(MetadataReader& in) { return Gpt2(in); }

ModelConfig StarCoder2(MetadataReader& in) { return ReadGpt(in, true); }

ModelConfig CodeShell(MetadataReader& in) { return ReadGpt(in, true); }

ModelConfig GptNeoX(MetadataReader& in) {
  ModelConfig config = ReadGpt(in, true);
  if (in.Bool("use_parallel_residual", true)) config.residual = ResidualForm::kParallel;
  return config;
}

// The large one has a second norm, for the attention.
ModelConfig Falcon(MetadataReader& in) {
  ModelConfig config = ReadGpt(in, true);
  config.residual = ResidualForm::kParallel;
  if (in.file().FindTensor("blk.0.attn_norm_2.weight") != nullptr) {
    config.norms.attention = "attn_norm_2";
    config.norms.feed_forward = "attn_norm";
  }
  return config;
}

ModelConfig Bloom(MetadataReader& in) {
  ModelConfig config = ReadGpt(in, false);
  config.embedding_norm = true;
  for (LayerConfig& layer : config.layers) layer.attention.alibi_max_bias = 8;
  return config;
}

ModelConfig Mpt(MetadataReader& in) {
  ModelConfig config = ReadGpt(in, false);
  config.learned_positions = in.file().FindTensor("position_embd.weight") != nullptr;
  for (LayerConfig& layer : config.layers) layer.attention.qk_norm_kind = NormKind::kLayer;
  return config;
}

ModelConfig Jais(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer, .has_rope = false});
  for (LayerConfig& layer : config.layers)
    layer.attention.scale = 1 / static_cast<double>(layer.attention.k_size);
  return config;
}

ModelConfig Jais2(MetadataReader& in) {
  return ReadDecoder(in, {.norm = NormKind::kLayer,
                          .rope = RopeKind::kHalves,
                          .activation = Activation::kReluSquared,
                          .gated = false});
}

ModelConfig Nemotron(MetadataReader& in) { return Jais2(in); }

ModelConfig Orion(MetadataReader& in) {
  return ReadDecoder(in, {.norm = NormKind::kLayer, .rope = RopeKind::kHalves});
}

// Without a norm of its own, the feed-forward works beside the attention.
ModelConfig StableLm(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer, .rope = RopeKind::kHalves});
  if (in.file().FindTensor("blk.0.ffn_norm.weight") == nullptr) {
    config.residual = ResidualForm::kParallel;
  }
  for (LayerConfig& layer : config.layers) layer.attention.qk_norm_kind = NormKind::kLayer;
  return config;
}

}  // namespace puna::model::arch
