// Decoders that are a Llama with rotated halves and one more difference.
#include <cmath>

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

// Stretched once for all lengths, by a larger base; files of the text models have that base itself.
ModelConfig HunyuanVl(MetadataReader& in) {
  ModelConfig config = Hunyuan(in);
  const double alpha = in.Number("rope.scaling.alpha", 0, 1e9, 0);
  for (LayerConfig& layer : config.layers) {
    const auto size = static_cast<double>(layer.attention.k_size);
    if (alpha > 0 && size > 2) layer.attention.rope.base *= std::pow(alpha, size / (size - 2));
  }
  return config;
}

ModelConfig Mellum(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  RequireHeadNorms(&config);
  ReadSlidingWindow(in, 0, 4, WindowPattern::kLastSeesAll, &config);
  for (LayerConfig& layer : config.layers) {
    if (layer.attention.window != 0) DoNotStretch(&layer.attention.rope);
  }
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
  for (LayerConfig& layer : config.layers) {
    if (layer.attention.window != 0) DoNotStretch(&layer.attention.rope);
  }
  RequireHeadNorms(&config);
  return config;
}

// The activation has parameters, learned per layer.
ModelConfig Apertus(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .gated = false});
  RequireHeadNorms(&config);
  for (LayerConfig& layer : config.layers) layer.attention.qk_norm_bias = false;
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  const std::vector<double> alpha_n = in.NumberPerLayer("xielu.alpha_n", -1e9, 1e9, layers, 0);
  const std::vector<double> alpha_p = in.NumberPerLayer("xielu.alpha_p", -1e9, 1e9, layers, 0);
  const std::vector<double> beta = in.NumberPerLayer("xielu.beta", -1e9, 1e9, layers, 0);
  const std::vector<double> epsilon = in.NumberPerLayer("xielu.eps", -1e9, 1e9, layers, 0);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].feed_forward.xielu = XieluConfig{alpha_n[i], alpha_p[i], beta[i], epsilon[i]};
  }
  return config;
}

// The text half; pictures have attention and feed-forward of their own in every layer. The rope is
// the plain one whatever the metadata says.
ModelConfig CogVlm(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  MakeDense(&config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.fused_thirds = true;
    layer.attention.rope = {
        .factors = false, .kind = RopeKind::kHalves, .dimensions = layer.attention.k_size};
  }
  return config;
}

}  // namespace puna::model::arch
