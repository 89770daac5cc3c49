// Large mixtures of experts, each with a twist or two: gates on the attention, routers that look
// elsewhere, a plain feed-forward beside the experts.
#include <cmath>

#include "model/arch/spec.h"

namespace puna::model::arch {
namespace {

constexpr DecoderTraits kSigmoidRouted = {
    .rope = RopeKind::kHalves, .router = RouterScore::kSigmoid, .normalize_experts = false};

}  // namespace

// All its layers are mixtures.
ModelConfig BailingMoe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.normalize_experts = false});
  const std::optional<MoeConfig> moe = config.layers.back().feed_forward.moe;
  for (LayerConfig& layer : config.layers) layer.feed_forward.moe = moe;
  return config;
}

// Every interleave_moe_layer_step-th layer is a mixture; llama.cpp loads one for the others too,
// and then has nothing but the activation for them.
ModelConfig Ernie45Moe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  IgnoreOutputBiases(&config);
  const int64_t step = in.Integer("interleave_moe_layer_step", {1, 4096}, 1);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    FeedForwardConfig& feed_forward = config.layers[i].feed_forward;
    if ((static_cast<int64_t>(i) + 1) % step == 0) continue;
    feed_forward.only_activation = feed_forward.moe.has_value();
    feed_forward.moe.reset();
  }
  return config;
}

ModelConfig Dots1(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, kSigmoidRouted);
  RequireHeadNorms(&config);
  return config;
}

ModelConfig BailingMoe2(MetadataReader& in) { return Dots1(in); }

ModelConfig MiniMaxM2(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  RequireHeadNorms(&config);
  for (LayerConfig& layer : config.layers) layer.attention.qkv_bias = false;
  return config;
}

ModelConfig Dbrx(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer, .rope = RopeKind::kHalves});
  config.norms.feed_forward = "attn_output_norm";
  return config;
}

ModelConfig AfMoe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, kSigmoidRouted);
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  UseOutputNorms(&config);
  ReadSlidingWindow(in, 0, 4, WindowPattern::kLastSeesAll, &config);
  for (size_t i = 3; i < config.layers.size(); i += 4) {
    config.layers[i].attention.rope.enabled = false;
  }
  for (LayerConfig& layer : config.layers) {
    layer.attention.qk_norm = true;
    layer.attention.output_gate = Activation::kSigmoid;
  }
  return config;
}

// Local layers turn by the plain rope, with their own number of dimensions.
ModelConfig Laguna(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, kSigmoidRouted);
  if (in.Has("attention.sliding_window")) {
    ReadSlidingWindow(in, 0, 4, WindowPattern::kFirstSeesAll, &config);
  }
  for (LayerConfig& layer : config.layers) {
    AttentionConfig& attention = layer.attention;
    attention.qk_norm = true;
    attention.output_gate = Activation::kSoftplus;
    if (attention.window == 0) continue;
    attention.rope.dimensions =
        in.Integer("rope.dimension_count_swa", kHeadSizeRange, attention.rope.dimensions);
    DoNotStretch(&attention.rope);
  }
  return config;
}

ModelConfig MiMo2(MetadataReader& in) {
  ModelConfig config =
      ReadDecoder(in, {.rope = RopeKind::kHalves, .router = RouterScore::kSigmoid});
  ReadSlidingWindow(in, 0, 0, WindowPattern::kLastSeesAll, &config);
  KeepMixturesWithRouters(in, &config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.qkv_bias = layer.attention.output_bias = false;
    layer.attention.rope.factors = false;
    layer.attention.output_scale = in.Number("attention.value_scale", 0, 1e9, 1);
    if (layer.attention.window == 0) continue;
    layer.attention.rope.base = in.Number("rope.freq_base_swa", 1e-3, 1e15, 10000);
    DoNotStretch(&layer.attention.rope);
  }
  return config;
}

// The plain feed-forward beside the experts, where there is one, takes the place of a shared
// expert.
ModelConfig Grok(MetadataReader& in) {
  ModelConfig config =
      ReadDecoder(in, {.rope = RopeKind::kHalves, .activation = Activation::kGeluTanh});
  config.embedding_scale = in.Number("embedding_scale", 0, 1e9, 78.38367176906169);
  config.logit_scale = in.Number("logit_scale", 0, 1e9, 0.5773502691896257);
  config.logit_softcap = in.Number("final_logit_softcapping", 0, 1e9, 0);
  config.norms.attention_output = "attn_output_norm";
  const bool old_name = in.file().FindTensor("blk.0.layer_output_norm.weight") != nullptr;
  config.norms.feed_forward_output = old_name ? "layer_output_norm" : "post_ffw_norm";
  const bool beside = in.file().FindTensor("blk.0.ffn_up.weight") != nullptr;
  for (LayerConfig& layer : config.layers) {
    layer.attention.scale = in.Number("attention.output_scale", 0, 1e9, 0.08838834764831845);
    layer.attention.softcap = in.Number("attn_logit_softcapping", 0, 1e9, 30);
    RopeConfig& rope = layer.attention.rope;
    rope.beta_fast = in.Number("rope.scaling.yarn_beta_fast", 0, 1e9, 8);
    // Its own attn_factor multiplies what YaRN computes.
    rope.attention_factor = rope.yarn_magnitude.value_or(rope.attention_factor);
    rope.yarn_magnitude.reset();
    if (!beside || !layer.feed_forward.moe) continue;
    layer.feed_forward.moe->shared_hidden = layer.feed_forward.hidden;
    layer.feed_forward.moe->shared_suffix = "";
    layer.feed_forward.moe->scale_with_shared = std::sqrt(0.5);
  }
  return config;
}

ModelConfig HyV3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, kSigmoidRouted);
  KeepMixturesWithRouters(in, &config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.qk_norm = true;
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (moe && moe->shared_hidden == 0) moe->shared_hidden = moe->hidden;
  }
  return config;
}

// The router reads what the attention reads. Layers that see everything have no rope.
ModelConfig SmallThinker(MetadataReader& in) {
  ModelConfig config =
      ReadDecoder(in, {.rope = RopeKind::kHalves, .activation = Activation::kRelu});
  if (in.Integer("attention.sliding_window", {0, kContextRange.max}, 0) > 0) {
    ReadSlidingWindow(in, 4096, 4, WindowPattern::kFirstSeesAll, &config);
    for (LayerConfig& layer : config.layers) {
      if (layer.attention.window != 0) layer.attention.window = 4096;  // whatever the file says
    }
    for (size_t i = 0; i < config.layers.size(); i += 4)
      config.layers[i].attention.rope.enabled = false;
  }
  for (LayerConfig& layer : config.layers) {
    if (layer.feed_forward.moe) layer.feed_forward.moe->router_sees_residual = true;
  }
  return config;
}

// A small dense feed-forward, and a mixture that reads the input of the layer.
ModelConfig Arctic(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  for (LayerConfig& layer : config.layers) {
    if (!layer.feed_forward.moe) continue;
    layer.attention.rope.factors = false;
    layer.feed_forward.moe->form = MixtureForm::kOfLayerInput;
    layer.feed_forward.moe->hidden = layer.feed_forward.hidden;
    layer.feed_forward.hidden = config.width;
  }
  return config;
}

// Experts in groups that share one more, small expert.
ModelConfig GroveMoe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  for (LayerConfig& layer : config.layers) {
    layer.attention.qk_norm = true;
    layer.attention.rope.factors = false;
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (!moe) continue;
    if (!in.Has("expert_feed_forward_length")) moe->hidden /= moe->used;
    moe->chunks = ChunkExpertsConfig{
        .group = in.Integer("experts_per_group", {1, moe->experts}),
        .hidden =
            in.Integer("expert_chunk_feed_forward_length", kHiddenRange, layer.attention.k_size),
        .scale = in.Number("expert_group_scale", -1e9, 1e9),
    };
  }
  return config;
}

// Heads are gated; layers that see everything turn half of each head. Gates and experts are clamped
// layer by layer.
ModelConfig Step35(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, kSigmoidRouted);
  KeepMixturesWithRouters(in, &config);
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  const int64_t window = in.Integer("attention.sliding_window", {0, kContextRange.max});
  const std::vector<bool> local = ReadLocalFlags(in, config);
  const std::vector<double> limits = in.NumberPerLayer("swiglu_clamp_exp", 0, 1e9, layers, 0);
  const std::vector<double> dense = in.NumberPerLayer("swiglu_clamp_shexp", 0, 1e9, layers, 0);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    AttentionConfig& attention = config.layers[i].attention;
    FeedForwardConfig& feed_forward = config.layers[i].feed_forward;
    const std::string gate = fmt::format("blk.{}.attn_gate.weight", i);
    if (in.file().FindTensor(gate) != nullptr) attention.output_gate = Activation::kSigmoid;
    attention.qkv_bias = false;
    feed_forward.clamp_activated = true;
    feed_forward.limit = dense[i];
    if (feed_forward.moe) {
      feed_forward.moe->limit = limits[i];
      feed_forward.moe->shared_is_activation = feed_forward.moe->shared_hidden == 0;
    }
    if (local[i]) {
      attention.window = window;
      attention.rope.base = in.Number("rope.freq_base_swa", 1e-3, 1e15, 10000);
      attention.rope.dimensions =
          in.Integer("rope.dimension_count_swa", kHeadSizeRange, attention.rope.dimensions);
      attention.rope.factors = false;
      DoNotStretch(&attention.rope);
    } else {
      attention.rope.dimensions /= 2;
    }
  }
  return config;
}

}  // namespace puna::model::arch
