// Mamba, and networks that mix it with attention: beside it in every layer (Falcon H1), or in other
// layers.
#include "model/arch/spec.h"

namespace puna::model::arch {
namespace {

// Larger than anything that exists; products of two fit int64.
constexpr IntegerRange kInnerRange = {1, int64_t{1} << 20};
constexpr IntegerRange kStateRange = {1, int64_t{1} << 16};

MambaConfig ReadMamba(MetadataReader& in) {
  MambaConfig mamba;
  mamba.inner = mamba.heads = in.Integer("ssm.inner_size", kInnerRange);
  mamba.kernel = in.Integer("ssm.conv_kernel", kConvolutionRange);
  mamba.state = in.Integer("ssm.state_size", kStateRange);
  mamba.rank = in.Integer("ssm.time_step_rank", kInnerRange);
  return mamba;
}

Mamba2Config ReadMamba2(MetadataReader& in) {
  Mamba2Config mamba;
  mamba.inner = in.Integer("ssm.inner_size", kInnerRange);
  mamba.heads = in.Integer("ssm.time_step_rank", kInnerRange);
  mamba.groups = in.Integer("ssm.group_count", kInnerRange);
  mamba.kernel = in.Integer("ssm.conv_kernel", kConvolutionRange);
  mamba.state = in.Integer("ssm.state_size", kStateRange);
  return mamba;
}

// Layers without heads of keys have `recurrent` in place of the attention.
void ReplaceHeadless(const RecurrentConfig& recurrent, ModelConfig* config) {
  for (LayerConfig& layer : config->layers) {
    layer.attends = layer.attention.kv_heads > 0;
    if (!layer.attends) layer.recurrent = recurrent;
  }
}

// A network of nothing but `recurrent`.
ModelConfig ReadPure(MetadataReader& in, const RecurrentConfig& recurrent) {
  ModelConfig config = ReadDecoder(in, {.has_rope = false, .optional_blocks = true});
  for (LayerConfig& layer : config.layers) {
    layer.attends = layer.feed_forward.present = false;
    layer.recurrent = recurrent;
  }
  return config;
}

}  // namespace

ModelConfig Mamba(MetadataReader& in) {
  MambaConfig mamba = ReadMamba(in);
  mamba.step_norms = in.Bool("ssm.dt_b_c_rms", false);
  return ReadPure(in, mamba);
}

ModelConfig Mamba2(MetadataReader& in) { return ReadPure(in, ReadMamba2(in)); }

ModelConfig Jamba(MetadataReader& in) {
  ModelConfig config =
      ReadDecoder(in, {.has_rope = false, .normalize_experts = false, .optional_blocks = true});
  ReplaceHeadless(ReadMamba(in), &config);
  KeepMixturesWithRouters(in, &config);
  return config;
}

ModelConfig FalconH1(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  const Mamba2Config mamba = ReadMamba2(in);
  for (LayerConfig& layer : config.layers) {
    layer.recurrent = mamba;
    layer.attention.rope.factors = false;
    layer.attention.output_bias = false;
  }
  return config;
}

ModelConfig GraniteHybrid(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.optional_blocks = true});
  ReplaceHeadless(ReadMamba2(in), &config);
  config.embedding_scale = in.Factor("embedding_scale");
  config.residual_scale = in.Factor("residual_scale");
  config.logit_scale = 1 / in.Factor("logit_scale");
  for (LayerConfig& layer : config.layers) {
    layer.attention.rope.enabled = in.Bool("rope.scaling.finetuned", true);
    if (layer.feed_forward.moe) layer.feed_forward.moe->hidden = layer.feed_forward.hidden;
  }
  return config;
}

// Of the experts; 0: that of the model. Ollama's files do not say it.
int64_t ReadLatentWidth(MetadataReader& in, const ModelConfig& config) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const gguf::Tensor* tensor =
        in.file().FindTensor(fmt::format("blk.{}.ffn_latent_in.weight", i));
    if (tensor != nullptr) return tensor->dims[1];
  }
  return in.Integer("moe_latent_size", {0, kInnerRange.max}, 0);
}

// A layer is one block: Mamba, attention or feed-forward.
ModelConfig NemotronH(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.has_rope = false,
                                        .activation = Activation::kReluSquared,
                                        .gated = false,
                                        .router = RouterScore::kSigmoid,
                                        .normalize_experts = false,
                                        .optional_blocks = true});
  config.norms.feed_forward = config.norms.attention;
  const int64_t latent = ReadLatentWidth(in, config);
  const Mamba2Config mamba = ReadMamba2(in);
  for (LayerConfig& layer : config.layers) {
    layer.feed_forward.present = layer.feed_forward.hidden > 0;
    layer.attends = !layer.feed_forward.present && layer.attention.kv_heads > 0;
    if (!layer.attends && !layer.feed_forward.present) layer.recurrent = mamba;
    if (layer.feed_forward.moe) layer.feed_forward.moe->latent = latent;
  }
  return config;
}

ModelConfig Plamo2(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .optional_blocks = true});
  MambaConfig mamba = ReadMamba(in);
  mamba.plamo = mamba.step_norms = true;
  mamba.heads = mamba.rank;  // the key of the rank holds the number of heads
  mamba.rank = 0;
  ReplaceHeadless(mamba, &config);
  RequireHeadNorms(&config);
  UseOutputNorms(&config);
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
  return config;
}

// A convolution of a few tokens in place of the attention.
ModelConfig Lfm2Moe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .optional_blocks = true});
  ReplaceHeadless(ShortConvolutionConfig{in.Integer("shortconv.l_cache", kConvolutionRange)},
                  &config);
  RequireHeadNorms(&config);
  // Files of Ollama's own converter use the usual name.
  if (in.file().FindTensor("token_embd_norm.weight") != nullptr)
    config.norms.output = "token_embd_norm";
  if (!config.layers[0].attention.causal) {
    in.Fail({ErrorCode::kUnsupported,
             "short convolutions that see later tokens (attention.causal) are not supported"});
  }
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
  return config;
}

ModelConfig Lfm2(MetadataReader& in) {
  ModelConfig config = Lfm2Moe(in);
  MakeDense(&config);
  // Some files count a width that was cut afterwards.
  if (const gguf::Tensor* gate = in.file().FindTensor("blk.0.ffn_gate.weight")) {
    for (LayerConfig& layer : config.layers) layer.feed_forward.hidden = gate->dims[1];
  }
  ReadSlidingWindow(in, 0, 0, WindowPattern::kLastSeesAll, &config);
  return config;
}

ModelConfig Rwkv6(MetadataReader& in) {
  ModelConfig config = ReadDecoder(
      in, {.norm = NormKind::kLayer, .has_rope = false, .epsilon = 0, .optional_blocks = true});
  config.embedding_norm = true;
  config.norms.feed_forward = "attn_norm_2";
  config.halve_every = in.Integer("rescale_every_n_layers", {0, kLayerRange.max}, 0);
  RwkvConfig rwkv;
  rwkv.head_size = in.Integer("wkv.head_size", kHeadSizeRange);
  rwkv.mix_rank = in.Integer("time_mix_extra_dim", kInnerRange);
  rwkv.decay_rank = in.Integer("time_decay_extra_dim", kInnerRange);
  for (LayerConfig& layer : config.layers) {
    layer.attends = false;
    layer.recurrent = rwkv;
    layer.feed_forward.channel_mix = true;
  }
  return config;
}

}  // namespace puna::model::arch
