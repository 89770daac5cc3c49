// Cohere: attention and feed-forward side by side on one norm without bias, scaled logits, tied
// output.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig CommandR(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer});
  config.residual = ResidualForm::kParallel;
  config.logit_scale = in.Number("logit_scale", 0, 1e9);
  for (LayerConfig& layer : config.layers) layer.attention.qk_norm_kind = NormKind::kLayer;
  return config;
}

// Layers that see everything have no rope.
ModelConfig Cohere2(MetadataReader& in) {
  ModelConfig config = CommandR(in);
  ReadSlidingWindow(in, 4096, 4, WindowPattern::kLastSeesAll, &config);
  for (LayerConfig& layer : config.layers)
    layer.attention.rope.enabled = layer.attention.window != 0;
  return config;
}

// The first, dense layers turn whatever they see; shared experts and the mixture are averaged.
ModelConfig Cohere2Moe(MetadataReader& in) {
  const bool rms = in.Has("attention.layer_norm_rms_epsilon");
  ModelConfig config = ReadDecoder(in, {.norm = rms ? NormKind::kRms : NormKind::kLayer,
                                        .router = RouterScore::kSigmoid,
                                        .normalize_experts = false});
  config.residual = ResidualForm::kParallel;
  config.logit_scale = in.Number("logit_scale", 0, 1e9);
  ReadSlidingWindow(in, 4096, 4, WindowPattern::kFirstSeesAll, &config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.rope.enabled = layer.attention.window != 0 || !layer.feed_forward.moe;
    if (layer.feed_forward.moe) layer.feed_forward.moe->scale_with_shared = 0.5;
  }
  return config;
}

}  // namespace puna::model::arch
