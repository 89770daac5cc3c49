// Llama and what is built like it: RMS norms, rotated pairs side by side, gated SiLU.
#include <cmath>

#include "model/arch/spec.h"

namespace puna::model::arch {

// Llama 1 to 3, Mistral, Mixtral.
ModelConfig Llama(MetadataReader& in) { return ReadDecoder(in, {}); }

// Computes embeddings; attention.causal says whether it sees the whole text.
ModelConfig LlamaEmbed(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  config.embeddings_only = true;
  return config;
}

// Writes a text in any order, so every token sees all.
ModelConfig Llada(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  MakeBidirectional(&config);
  return config;
}

ModelConfig Arcee(MetadataReader& in) {
  return ReadDecoder(in, {.activation = Activation::kReluSquared, .gated = false});
}

// Every fourth layer has no rope.
ModelConfig SmolLm3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  for (size_t i = 3; i < config.layers.size(); i += 4) {
    config.layers[i].attention.rope.enabled = false;
  }
  return config;
}

// The large one (40 layers) has linear biases instead of rope.
ModelConfig Baichuan(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  if (config.layers.size() == 32) return config;
  for (LayerConfig& layer : config.layers) {
    layer.attention.rope.enabled = false;
    if (config.layers.size() == 40) layer.attention.alibi_max_bias = 8;
  }
  return config;
}

ModelConfig Refact(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.has_rope = false});
  if (config.layers[0].feed_forward.moe) {
    in.Fail({ErrorCode::kUnsupported, "refact models with experts are not supported"});
  }
  for (LayerConfig& layer : config.layers) layer.attention.alibi_max_bias = 8;
  return config;
}

ModelConfig MiniCpm(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  config.embedding_scale = in.Number("embedding_scale", 0, 1e9, 12);
  config.residual_scale = in.Number("residual_scale", 0, 1e9,
                                    1.4 / std::sqrt(static_cast<double>(config.layers.size())));
  config.logit_scale = in.Number("logit_scale", 0, 1e9, 256.0 / static_cast<double>(config.width));
  return config;
}

ModelConfig Maincoder(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  for (LayerConfig& layer : config.layers) {
    layer.attention.qk_norm = true;
    layer.attention.qk_norm_after_rope = true;
  }
  return config;
}

ModelConfig Ernie45(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  MakeDense(&config);
  return config;
}

ModelConfig Mistral3(MetadataReader& in) {
  if (in.Number("attention.temperature_scale", 0, 1e9, 0) != 0) {
    in.Fail({ErrorCode::kUnsupported, "attention.temperature_scale of mistral3 is not supported"});
  }
  return ReadDecoder(in, {});
}

// The same network with its scales made explicit; rope.scaling.finetuned = false means no rope.
ModelConfig Granite(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  config.embedding_scale = in.Number("embedding_scale", 0, 1e9, 1);
  config.residual_scale = in.Number("residual_scale", 0, 1e9, 1);
  config.logit_scale = 1 / in.Number("logit_scale", 1e-9, 1e9);
  for (LayerConfig& layer : config.layers)
    layer.attention.rope.enabled = in.Bool("rope.scaling.finetuned", true);
  return config;
}

}  // namespace puna::model::arch
