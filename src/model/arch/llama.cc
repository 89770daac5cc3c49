// Llama and what is built like it: RMS norms, rotated pairs side by side, gated SiLU.
#include <cmath>

#include "model/arch/spec.h"

namespace puna::model::arch {

// Llama 1 to 3, Mistral, Mixtral.
ModelConfig Llama(MetadataReader& in) { return ReadDecoder(in, {}); }

// From 4.2 on the layers run more than once.
ModelConfig Nanbeige(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  config.passes = in.Integer("num_loops", {1, kLayerRange.max / layers}, 1);
  config.norm_between_passes = !in.Bool("skip_loop_final_norm", false);
  return config;
}

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
  IgnoreOutputBiases(&config);
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
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

// Where the metadata speaks of experts, llama.cpp has no matrices to compute with and keeps the
// activation.
ModelConfig Refact(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.has_rope = false});
  IgnoreOutputBiases(&config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.alibi_max_bias = 8;
    layer.feed_forward.only_activation = layer.feed_forward.moe.has_value();
  }
  return config;
}

ModelConfig MiniCpm(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  config.embedding_scale = in.Number("embedding_scale", 0, 1e9, 12);
  config.residual_scale = in.Number("residual_scale", 0, 1e9,
                                    1.4 / std::sqrt(static_cast<double>(config.layers.size())));
  // Where the file says nothing, dim_model_base is 256.
  config.logit_scale = in.Has("logit_scale") ? 1 / in.Factor("logit_scale")
                                             : 256.0 / static_cast<double>(config.width);
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
  IgnoreOutputBiases(&config);
  return config;
}

// Ministral 3 among them: queries grow with the position, in steps of the original context.
ModelConfig Mistral3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  const double scale = in.Number("attention.temperature_scale", 0, 1e9, 0);
  for (LayerConfig& layer : config.layers) {
    const int64_t length = layer.attention.rope.original_context;
    if (scale != 0) layer.attention.temperature = {.scale = scale, .length = length};
  }
  return config;
}

// The same network with its scales made explicit; rope.scaling.finetuned = false means no rope.
ModelConfig Granite(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  config.embedding_scale = in.Factor("embedding_scale");
  config.residual_scale = in.Factor("residual_scale");
  config.logit_scale = 1 / in.Factor("logit_scale");
  for (LayerConfig& layer : config.layers)
    layer.attention.rope.enabled = in.Bool("rope.scaling.finetuned", true);
  return config;
}

// Three layers of four see a chunk and turn; the others see everything, do not turn, and make
// queries longer with the position. Weights of experts multiply what goes in.
ModelConfig Llama4(MetadataReader& in) {
  ModelConfig config =
      ReadDecoder(in, {.router = RouterScore::kSigmoid, .normalize_experts = false});
  const bool chunked = in.Integer("attention.sliding_window", {0, kContextRange.max}, 1) != 0;
  const std::vector<bool> local = ReadLocalLayers(in, 4, WindowPattern::kLastSeesAll, config);
  const double local_base = in.Number("rope.freq_base_swa", 1e-3, 1e15, 0);
  const int64_t step = in.Integer("interleave_moe_layer_step", {0, kLayerRange.max});
  for (size_t i = 0; i < config.layers.size(); ++i) {
    AttentionConfig& attention = config.layers[i].attention;
    std::optional<MoeConfig>& moe = config.layers[i].feed_forward.moe;
    const int64_t number = static_cast<int64_t>(i) + 1;
    attention.rope.enabled = number % 4 != 0 || !chunked;
    attention.plain_qk_norm = attention.rope.enabled && moe && moe->experts != 128;
    if (chunked && local[i]) attention.chunk = 8192;
    if (chunked && local[i] && local_base != 0) attention.rope.base = local_base;
    if (!attention.rope.enabled) {
      attention.temperature = {.scale = 0.1, .length = 8192, .offset = 1};
    }
    if (step == 0 || number % step != 0) moe.reset();
    if (!moe) continue;
    moe->weigh_input = true;
    moe->shared_hidden = moe->hidden;
  }
  return config;
}

// Layers may have no attention, attention that does not look back, or no feed-forward.
ModelConfig Deci(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.optional_blocks = true});
  for (LayerConfig& layer : config.layers) {
    layer.attends = layer.attention.heads > 0;
    layer.attention.linear = layer.attends && layer.attention.kv_heads == 0;
    layer.feed_forward.present = layer.feed_forward.hidden > 0;
    // llama.cpp leaves out the attention too where there is no feed-forward.
    layer.attends = layer.attends && layer.feed_forward.present;
    layer.feed_forward.moe.reset();
  }
  return config;
}

}  // namespace puna::model::arch
