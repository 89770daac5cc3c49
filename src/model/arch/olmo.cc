// OLMo: 1 has norms without parameters, 2 norms after the blocks, the mixture norms before them; 2
// and it norm q and k whole.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig Olmo(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer});
  config.norm_weights = false;
  return config;
}

ModelConfig Olmo2(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  config.norms.attention.clear();
  config.norms.feed_forward.clear();
  UseOutputNorms(&config);
  RequireHeadNorms(&config);
  if (in.Has("attention.sliding_window")) {  // OLMo 3
    ReadSlidingWindow(in, 0, 4, WindowPattern::kLastSeesAll, &config);
    for (LayerConfig& layer : config.layers) {
      if (layer.attention.window != 0) DoNotStretch(&layer.attention.rope);
    }
  }
  for (LayerConfig& layer : config.layers) {
    layer.attention.qkv_bias = layer.attention.output_bias = false;
  }
  return config;
}

ModelConfig Olmoe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .normalize_experts = false});
  RequireHeadNorms(&config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.qkv_bias = layer.attention.output_bias = false;
  }
  return config;
}

}  // namespace puna::model::arch
