// The metadata keys that decoders share. Names, defaults and the order in which fallbacks apply are
// those of GGUF files as llama.cpp writes and reads them.
#include <algorithm>
#include <cmath>

#include "model/arch/spec.h"

namespace puna::model::arch {
namespace {

constexpr double kLargest = 1e9;  // of any factor or scale

RopeScaling ScalingOf(MetadataReader& in) {
  // A factor without a type means linear.
  const std::string type = in.String("rope.scaling.type", "linear");
  if (type == "none") return RopeScaling::kNone;
  if (type == "linear") return RopeScaling::kLinear;
  if (type == "yarn") return RopeScaling::kYarn;
  if (type == "longrope" || type == "su") return RopeScaling::kLongRope;
  in.Fail({ErrorCode::kUnsupported,
           fmt::format("metadata key {}.rope.scaling.type is \"{}\", expected none, linear, "
                       "yarn or longrope",
                       in.architecture(), type)});
  return RopeScaling::kNone;
}

RopeConfig ReadRope(MetadataReader& in, const DecoderTraits& traits, int64_t context_length,
                    int64_t k_size) {
  RopeConfig rope;
  rope.enabled = traits.has_rope;
  rope.kind = traits.rope;
  rope.dimensions = in.Integer("rope.dimension_count", {0, kHeadSizeRange.max}, k_size);
  rope.base = in.Number("rope.freq_base", 1e-3, 1e15, 10000);
  rope.scaling = ScalingOf(in);
  const double old_factor = in.Number("rope.scale_linear", 0, kLargest, 0);
  rope.factor = in.Number("rope.scaling.factor", 0, kLargest, old_factor);
  if (rope.factor == 0 || rope.scaling == RopeScaling::kNone) rope.factor = 1;
  rope.original_context =
      in.Integer("rope.scaling.original_context_length", {0, kContextRange.max}, 0);
  if (rope.original_context == 0) rope.original_context = context_length;
  rope.attention_factor = in.Number("rope.scaling.attn_factor", 0, kLargest, 1);
  rope.extrapolation = in.Number("rope.scaling.yarn_ext_factor", -1, 1, 1);
  // The attention_factor of Hugging Face's configs, which takes the place of the computed one (1
  // for Laguna XS; OLMo 3 names the very number that is computed). llama.cpp computes it all the
  // same; a model that it loaded and saved says 1, and -1 as the extrapolation, whatever is meant.
  const double magnitude = in.Number("rope.scaling.yarn_attn_factor", 0, kLargest, -1);
  if (magnitude >= 0 && rope.extrapolation >= 0) rope.yarn_magnitude = magnitude;
  if (rope.extrapolation < 0) rope.extrapolation = 1;
  rope.beta_fast = in.Number("rope.scaling.yarn_beta_fast", 0, kLargest, 32);
  rope.beta_slow = in.Number("rope.scaling.yarn_beta_slow", 0, kLargest, 1);
  // Ollama's name of it; its value is not a tenth, see ReadLatentYarn.
  const double all_dimensions = in.Number("rope.scaling.mscale_all_dim", 0, kLargest, 0);
  rope.yarn_log_multiplier =
      in.Number("rope.scaling.yarn_log_multiplier", 0, kLargest, all_dimensions);
  return rope;
}

RouterScore ScoreOf(MetadataReader& in, RouterScore fallback) {
  switch (in.Integer("expert_gating_func", {0, 3}, 0)) {
    case 1:
      return RouterScore::kSoftmax;
    case 2:
      return RouterScore::kSigmoid;
    case 3:
      return RouterScore::kSoftmaxOfSelected;
    default:
      return fallback;
  }
}

std::optional<MoeConfig> ReadMoe(MetadataReader& in, const DecoderTraits& traits, int64_t hidden) {
  MoeConfig moe;
  moe.experts = in.Integer("expert_count", kExpertRange, 0);
  if (moe.experts == 0) return std::nullopt;
  moe.used = in.Integer("expert_used_count", {1, moe.experts});
  moe.hidden = in.Integer("expert_feed_forward_length", {0, kHiddenRange.max}, 0);
  if (moe.hidden == 0) moe.hidden = hidden;
  const int64_t shared = in.Integer("expert_shared_count", {0, 1024}, 0);
  moe.shared_hidden = in.Integer("expert_shared_feed_forward_length", {0, kHiddenRange.max}, 0);
  if (moe.shared_hidden == 0) moe.shared_hidden = shared * moe.hidden;
  moe.score = ScoreOf(in, traits.router);
  moe.normalize = traits.normalize_experts || in.Bool("expert_weights_norm", false);
  moe.scale = in.Factor("expert_weights_scale");
  moe.groups = std::max<int64_t>(1, in.Integer("expert_group_count", {0, moe.experts}, 1));
  moe.groups_used =
      std::max<int64_t>(1, in.Integer("expert_group_used_count", {0, moe.groups}, moe.groups));
  return moe;
}

int64_t ReadVocabulary(MetadataReader& in) {
  const gguf::Value* tokens = in.file().Find("tokenizer.ggml.tokens");
  if (tokens != nullptr) {
    if (const auto* array = std::get_if<std::shared_ptr<const gguf::Array>>(tokens);
        array != nullptr) {
      const int64_t size = (*array)->size();
      if (size >= kVocabularyRange.min && size <= kVocabularyRange.max) return size;
    }
    in.Fail({ErrorCode::kCorrupt, "metadata key tokenizer.ggml.tokens is no list of tokens"});
    return 1;
  }
  return in.Integer("vocab_size", kVocabularyRange);
}

Pooling ReadPooling(MetadataReader& in) {
  // llama.cpp writes its "unspecified" (-1) as an unsigned number when it saves a loaded model.
  constexpr int64_t kUnspecified = 0xffffffff;
  const int64_t type = in.Integer("pooling_type", {-1, kUnspecified}, 0);
  if (type > 4 && type != kUnspecified) in.Integer("pooling_type", {-1, 4});
  switch (type) {
    case 1:
      return Pooling::kMean;
    case 2:
      return Pooling::kFirst;
    case 3:
      return Pooling::kLast;
    case 4:
      return Pooling::kRank;
    default:
      return Pooling::kNone;
  }
}

// Attention of all layers; heads may differ between them, head sizes may not.
void ReadAttention(MetadataReader& in, const DecoderTraits& traits, ModelConfig* config) {
  const int64_t layers = static_cast<int64_t>(config->layers.size());
  const IntegerRange range{traits.optional_blocks ? 0 : kHeadRange.min, kHeadRange.max};
  const std::vector<int64_t> heads = traits.optional_blocks
                                         ? in.PerLayer("attention.head_count", range, layers, 0)
                                         : in.PerLayer("attention.head_count", range, layers);
  std::vector<int64_t> kv_heads = heads;
  if (in.Has("attention.head_count_kv"))
    kv_heads = in.PerLayer("attention.head_count_kv", range, layers);
  // Heads of all layers have one size: that of the first layer that has any.
  const auto some = std::find_if(heads.begin(), heads.end(), [](int64_t n) { return n > 0; });
  const int64_t first_heads = some == heads.end() ? 0 : *some;
  AttentionConfig attention;
  attention.k_size = in.Integer("attention.key_length", kHeadSizeRange, 0);
  if (attention.k_size == 0 && first_heads > 0) {
    attention.k_size = config->width / first_heads;
    if (config->width % first_heads != 0) {
      in.Fail({ErrorCode::kCorrupt,
               fmt::format("metadata key {}.attention.head_count is {}, which does not divide the "
                           "width {}",
                           in.architecture(), first_heads, config->width)});
    }
  }
  attention.v_size = in.Integer("attention.value_length", kHeadSizeRange, attention.k_size);
  attention.rope = ReadRope(in, traits, config->context_length, attention.k_size);
  attention.scale = in.Number("attention.scale", 0, kLargest, 0);
  attention.clamp = in.Number("attention.clamp_kqv", 0, kLargest, 0);
  attention.alibi_max_bias = in.Number("attention.max_alibi_bias", 0, kLargest, 0);
  attention.causal = in.Bool("attention.causal", true);
  for (size_t i = 0; i < config->layers.size(); ++i) {
    attention.heads = heads[i];
    attention.kv_heads = kv_heads[i];
    config->layers[i].attention = attention;
  }
}

void ReadFeedForward(MetadataReader& in, const DecoderTraits& traits, ModelConfig* config) {
  const int64_t layers = static_cast<int64_t>(config->layers.size());
  const std::vector<int64_t> hidden =
      traits.optional_blocks ? in.PerLayer("feed_forward_length", {0, kHiddenRange.max}, layers, 0)
                             : in.PerLayer("feed_forward_length", kHiddenRange, layers);
  const int64_t dense_layers = in.Integer("leading_dense_block_count", {0, layers}, 0);
  for (int64_t i = 0; i < layers; ++i) {
    FeedForwardConfig& feed_forward = config->layers[static_cast<size_t>(i)].feed_forward;
    feed_forward.hidden = hidden[static_cast<size_t>(i)];
    feed_forward.activation = traits.activation;
    feed_forward.gated = traits.gated;
    if (i >= dense_layers) feed_forward.moe = ReadMoe(in, traits, feed_forward.hidden);
  }
}

}  // namespace

ModelConfig ReadDecoder(MetadataReader& in, const DecoderTraits& traits) {
  ModelConfig config;
  config.architecture = in.architecture();
  config.name = in.String("general.name", "");
  config.vocabulary = ReadVocabulary(in);
  config.context_length = in.Integer("context_length", kContextRange);
  config.width = in.Integer("embedding_length", kWidthRange);
  // Layers that predict further tokens follow the others and are not part of the network proper.
  const int64_t layers = in.Integer("block_count", kLayerRange);
  config.layers.resize(
      static_cast<size_t>(layers - in.Integer("nextn_predict_layers", {0, layers - 1}, 0)));
  config.norm_kind = traits.norm;
  const char* epsilon = traits.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                      : "attention.layer_norm_epsilon";
  config.norm_epsilon =
      traits.epsilon < 0 ? in.Number(epsilon, 0, 1) : in.Number(epsilon, 0, 1, traits.epsilon);
  config.pooling = ReadPooling(in);
  ReadAttention(in, traits, &config);
  ReadFeedForward(in, traits, &config);
  return config;
}

void MakeDense(ModelConfig* config) {
  for (LayerConfig& layer : config->layers) layer.feed_forward.moe.reset();
}

void MakeBidirectional(ModelConfig* config) {
  for (LayerConfig& layer : config->layers) layer.attention.causal = false;
}

void IgnoreOutputBiases(ModelConfig* config) {
  for (LayerConfig& layer : config->layers) {
    layer.attention.output_bias = layer.feed_forward.bias = false;
  }
}

void RequireHeadNorms(ModelConfig* config) {
  for (LayerConfig& layer : config->layers) layer.attention.qk_norm = true;
}

void KeepMixturesWithRouters(const MetadataReader& in, ModelConfig* config) {
  for (size_t i = 0; i < config->layers.size(); ++i) {
    const std::string router = fmt::format("blk.{}.ffn_gate_inp.weight", i);
    if (in.file().FindTensor(router) == nullptr) config->layers[i].feed_forward.moe.reset();
  }
}

void DoNotStretch(RopeConfig* rope) {
  rope->scaling = RopeScaling::kNone;
  rope->factor = rope->attention_factor = 1;
}

void UseOutputNorms(ModelConfig* config) {
  config->norms.attention_output = "post_attention_norm";
  config->norms.feed_forward_output = "post_ffw_norm";
}

std::vector<bool> ReadLocalLayers(MetadataReader& in, int64_t period, WindowPattern pattern,
                                  const ModelConfig& config) {
  const size_t layers = config.layers.size();
  const std::vector<int64_t> flags =
      in.Array("attention.sliding_window_pattern", {0, 1}, static_cast<int64_t>(layers));
  std::vector<bool> local(layers);
  if (!flags.empty()) {
    for (size_t i = 0; i < std::min(layers, flags.size()); ++i) local[i] = flags[i] != 0;
    return local;
  }
  period = in.Integer("attention.sliding_window_pattern", {0, kLayerRange.max}, period);
  for (size_t i = 0; i < layers; ++i) {
    const int64_t phase = period == 0 ? 0 : static_cast<int64_t>(i) % period;
    local[i] =
        period == 0 || (pattern == WindowPattern::kLastSeesAll ? phase < period - 1 : phase != 0);
  }
  return local;
}

std::vector<bool> ReadLocalFlags(MetadataReader& in, const ModelConfig& config) {
  const size_t layers = config.layers.size();
  const std::vector<int64_t> flags =
      in.Array("attention.sliding_window_pattern", {0, 1}, static_cast<int64_t>(layers));
  std::vector<bool> local(layers);
  for (size_t i = 0; i < std::min(layers, flags.size()); ++i) local[i] = flags[i] != 0;
  if (flags.empty()) {
    const int64_t all = in.Integer("attention.sliding_window_pattern", {0, kLayerRange.max});
    local.assign(layers, all != 0);
  }
  return local;
}

void ReadSlidingWindow(MetadataReader& in, int64_t window, int64_t period, WindowPattern pattern,
                       ModelConfig* config) {
  window = in.Integer("attention.sliding_window", {0, kContextRange.max}, window);
  const std::vector<bool> local = ReadLocalLayers(in, period, pattern, *config);
  const double local_base = in.Number("rope.freq_base_swa", 1e-3, 1e15, 0);
  for (size_t i = 0; i < config->layers.size(); ++i) {
    if (!local[i]) continue;
    config->layers[i].attention.window = window;
    if (local_base != 0) config->layers[i].attention.rope.base = local_base;
  }
}

}  // namespace puna::model::arch
