// Networks with delta nets in place of the attention of most layers: Qwen 3 Next and 3.5, Kimi
// Linear.
#include "model/arch/spec.h"

namespace puna::model::arch {
namespace {

DeltaNetConfig ReadDeltaNet(MetadataReader& in) {
  DeltaNetConfig net;
  net.heads = in.Integer("ssm.time_step_rank", kHeadRange);
  net.k_heads = in.Integer("ssm.group_count", kHeadRange);
  net.size = in.Integer("ssm.state_size", kHeadSizeRange);
  net.kernel = in.Integer("ssm.conv_kernel", kConvolutionRange);
  const int64_t inner = in.Integer("ssm.inner_size", kHiddenRange);
  if (in.ok() && inner != net.heads * net.size) {
    in.Fail({ErrorCode::kCorrupt,
             fmt::format("metadata key {}.ssm.inner_size is {}, expected {} heads of {}",
                         in.architecture(), inner, net.heads, net.size)});
  }
  return net;
}

// attention.recurrent_layers says which layers have a delta net; absent: all but every fourth.
void PlaceDeltaNets(MetadataReader& in, const DeltaNetConfig& net, ModelConfig* config) {
  const std::vector<int64_t> flags =
      in.Array("attention.recurrent_layers", {0, 1}, kLayerRange.max);
  const size_t period = static_cast<size_t>(in.Integer("full_attention_interval", kLayerRange, 4));
  for (size_t i = 0; i < config->layers.size(); ++i) {
    LayerConfig& layer = config->layers[i];
    layer.attends = flags.empty() ? (i + 1) % period == 0 : i >= flags.size() || flags[i] == 0;
    if (!layer.attends) layer.recurrent = net;
  }
}

ModelConfig ReadQwen(MetadataReader& in, bool tiled) {
  // Ollama's files have no heads of keys in layers without attention.
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .optional_blocks = true});
  DeltaNetConfig net = ReadDeltaNet(in);
  net.tiled = tiled;
  PlaceDeltaNets(in, net, &config);
  RequireHeadNorms(&config);
  config.norms.feed_forward = "post_attention_norm";
  for (LayerConfig& layer : config.layers) {
    AttentionConfig& attention = layer.attention;
    attention.rope.factors = attention.qkv_bias = attention.output_bias = false;
    attention.v_size = attention.k_size;
    attention.gate_in_query = true;
    attention.output_gate = Activation::kSigmoid;
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (moe && moe->shared_hidden == 0) moe->shared_hidden = layer.feed_forward.hidden;
  }
  return config;
}

}  // namespace

ModelConfig Qwen3Next(MetadataReader& in) { return ReadQwen(in, false); }

ModelConfig Qwen35Moe(MetadataReader& in) { return ReadQwen(in, true); }

ModelConfig Qwen35(MetadataReader& in) {
  ModelConfig config = Qwen35Moe(in);
  MakeDense(&config);
  return config;
}

// Latent attention without rope in the other layers.
ModelConfig KimiLinear(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.router = RouterScore::kSigmoid, .optional_blocks = true});
  DeltaNetConfig net;
  net.heads = net.k_heads = config.layers[0].attention.heads;
  net.size = in.Integer("kda.head_dim", kHeadSizeRange);
  net.kernel = in.Integer("ssm.conv_kernel", kConvolutionRange);
  net.decay_per_key = true;
  for (LayerConfig& layer : config.layers) {
    AttentionConfig& attention = layer.attention;
    layer.attends = attention.kv_heads > 0;
    if (!layer.attends) layer.recurrent = net;
    attention.latent = LatentConfig{
        .q_rank = in.Integer("attention.q_lora_rank", {0, kWidthRange.max}, 0),
        .kv_rank = in.Integer("attention.kv_lora_rank", kWidthRange),
    };
    attention.heads = attention.kv_heads = net.heads;
    attention.k_size = in.Integer("attention.key_length_mla", kHeadSizeRange);
    attention.v_size = in.Integer("attention.value_length_mla", kHeadSizeRange);
    attention.rope.enabled = false;
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (moe && moe->shared_hidden == 0) moe->shared_hidden = moe->hidden;
  }
  return config;
}

}  // namespace puna::model::arch
