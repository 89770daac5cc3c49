// Decoders that are a Llama with rotated halves and one more difference.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig SeedOss(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  config.norms.feed_forward = "post_attention_norm";
  return config;
}

ModelConfig PanguEmbedded(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
  return config;
}

ModelConfig Hunyuan(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  RequireHeadNorms(&config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.qk_norm_after_rope = true;
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (moe && moe->shared_hidden == 0) moe->shared_hidden = layer.feed_forward.hidden;
  }
  return config;
}

ModelConfig Mellum(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  RequireHeadNorms(&config);
  ReadSlidingWindow(in, 0, 4, WindowPattern::kLastSeesAll, &config);
  return config;
}

ModelConfig Bitnet(MetadataReader& in) {
  const bool squared = in.String("hidden_act", "silu") == "relu2";
  return ReadDecoder(in, {.rope = RopeKind::kHalves,
                          .activation = squared ? Activation::kReluSquared : Activation::kSilu});
}

ModelConfig OpenElm(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  RequireHeadNorms(&config);
  return config;
}

ModelConfig Plamo(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  config.residual = ResidualForm::kParallel;
  return config;
}

ModelConfig Plamo3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  UseOutputNorms(&config);
  ReadSlidingWindow(in, 0, 8, WindowPattern::kLastSeesAll, &config);
  RequireHeadNorms(&config);
  return config;
}

}  // namespace puna::model::arch
