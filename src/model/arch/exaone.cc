// EXAONE: 1 is a Llama with rotated halves; 4 has norms after the blocks and no rope where a layer
// sees everything.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig Exaone(MetadataReader& in) { return ReadDecoder(in, {.rope = RopeKind::kHalves}); }

ModelConfig Exaone4(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  config.norms.attention.clear();
  config.norms.feed_forward.clear();
  UseOutputNorms(&config);
  RequireHeadNorms(&config);
  // Only the 32B one has local layers.
  if (config.layers.size() != 64) return config;
  ReadSlidingWindow(in, 0, 4, WindowPattern::kLastSeesAll, &config);
  for (LayerConfig& layer : config.layers)
    layer.attention.rope.enabled = layer.attention.window != 0;
  return config;
}

ModelConfig ExaoneMoe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(
      in, {.rope = RopeKind::kHalves, .router = RouterScore::kSigmoid, .normalize_experts = false});
  ReadSlidingWindow(in, 128, 4, WindowPattern::kLastSeesAll, &config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.qk_norm = true;
    layer.attention.rope.enabled = layer.attention.window != 0;
  }
  return config;
}

}  // namespace puna::model::arch
