// gpt-oss: attention sinks, local and global layers in turn, experts with clamped gates and biases
// everywhere. Files of Ollama's own converter say "gptoss" and use a few other tensor names, which
// the plan builder knows.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig GptOss(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves,
                                        .router = RouterScore::kSoftmaxOfSelected,
                                        .normalize_experts = false});
  config.norms.feed_forward = "post_attention_norm";
  ReadSlidingWindow(in, 128, 2, WindowPattern::kLastSeesAll, &config);
  for (LayerConfig& layer : config.layers) {
    // Ollama's files have a factor and do not say that it is YaRN's.
    if (!in.Has("rope.scaling.type")) layer.attention.rope.scaling = RopeScaling::kYarn;
    layer.attention.sinks = true;
    layer.feed_forward.alpha = 1.702;
    if (!layer.feed_forward.moe) continue;
    layer.feed_forward.moe->limit = 7;
    layer.feed_forward.moe->fused_in_turn = true;
  }
  return config;
}

}  // namespace puna::model::arch
