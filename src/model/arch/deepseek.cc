// DeepSeek and others with latent attention: one narrow latent per token instead of keys and values
// per head.
#include <algorithm>
#include <cmath>
#include <vector>

#include "model/arch/spec.h"

namespace puna::model::arch {
namespace {

// head_count_kv and key_length describe what llama.cpp caches; the heads themselves have
// key_length_mla and value_length_mla, where these are.
void ReadLatent(MetadataReader& in, ModelConfig* config) {
  for (LayerConfig& layer : config->layers) {
    AttentionConfig& attention = layer.attention;
    attention.latent = LatentConfig{
        .q_rank = in.Integer("attention.q_lora_rank", {0, kWidthRange.max}, 0),
        .kv_rank = in.Integer("attention.kv_lora_rank", kWidthRange),
    };
    attention.kv_heads = attention.heads;
    const IntegerRange size{0, kHeadSizeRange.max};
    const int64_t k_size = in.Integer("attention.key_length_mla", size, 0),
                  v_size = in.Integer("attention.value_length_mla", size, 0);
    if (k_size > 0) attention.k_size = k_size;
    if (v_size > 0) attention.v_size = v_size;
  }
}

// llama.cpp's converter writes a tenth of the multiplier.
void ReadLatentYarn(const MetadataReader& in, ModelConfig* config) {
  const double factor = in.Has("rope.scaling.yarn_log_multiplier") ? 10 : 1;
  for (LayerConfig& layer : config->layers) {
    RopeConfig& rope = layer.attention.rope;
    rope.factors = false;
    rope.scales_scores = true;
    rope.yarn_log_multiplier *= factor;
  }
}

// Sparse attention: which layers choose keys, and which use an earlier choice.
void ReadIndexer(MetadataReader& in, RopeKind rope, double norm_epsilon, ModelConfig* config) {
  const IndexerConfig indexer{
      .heads = in.Integer("attention.indexer.head_count", kHeadRange),
      .size = in.Integer("attention.indexer.key_length", kHeadSizeRange),
      .used = in.Integer("attention.indexer.top_k", kContextRange),
      .rope = rope,
      .norm_epsilon = norm_epsilon,
  };
  for (LayerConfig& layer : config->layers) layer.attention.indexer = indexer;
}

ModelConfig ReadDeepSeek2(MetadataReader& in, RouterScore router) {
  ModelConfig config = ReadDecoder(in, {.router = router, .normalize_experts = false});
  ReadLatent(in, &config);
  ReadLatentYarn(in, &config);
  const double scale = in.Number("attention.temperature_scale", 0, 1e9, 0);
  const int64_t length =
      std::max<int64_t>(1, in.Integer("attention.temperature_length", {0, kContextRange.max}, 1));
  for (LayerConfig& layer : config.layers) {
    if (scale != 0) layer.attention.temperature = {.scale = scale, .length = length};
  }
  return config;
}

}  // namespace

// DeepSeek 1: ordinary attention, mixtures with shared experts, the first layers dense.
ModelConfig DeepSeek(MetadataReader& in) { return ReadDecoder(in, {.normalize_experts = false}); }

// The text half of DeepSeek OCR: ordinary attention that turns halves.
ModelConfig DeepSeek2Ocr(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves, .normalize_experts = false});
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
  return config;
}

// Files of GLM 4.7 Flash that say nothing of their router have a sigmoid.
ModelConfig DeepSeek2(MetadataReader& in) {
  const int64_t layers = in.Integer("block_count", kLayerRange) -
                         in.Integer("nextn_predict_layers", {0, kLayerRange.max}, 0);
  ModelConfig config = ReadDeepSeek2(in, RouterScore::kSoftmax);
  const bool is_glm = (layers == 47 || layers == 48) && config.vocabulary == 154880;
  for (LayerConfig& layer : config.layers) {
    RopeConfig& rope = layer.attention.rope;
    rope.yarn_multiplier = rope.yarn_log_multiplier;
    if (is_glm && layer.feed_forward.moe && !in.Has("expert_gating_func")) {
      layer.feed_forward.moe->score = RouterScore::kSigmoid;
    }
  }
  return config;
}

ModelConfig Mistral4(MetadataReader& in) { return ReadDeepSeek2(in, RouterScore::kSoftmax); }

ModelConfig DeepSeek32(MetadataReader& in) {
  ModelConfig config = ReadDeepSeek2(in, RouterScore::kSoftmax);
  ReadIndexer(in, RopeKind::kHalves, 1e-6, &config);
  return config;
}

// GLM 5. From 5.2 on, which has a context of a million, two layers choose and then every fourth.
ModelConfig GlmDsa(MetadataReader& in) {
  ModelConfig config = ReadDeepSeek2(in, RouterScore::kSigmoid);
  ReadIndexer(in, RopeKind::kInterleaved, 0, &config);
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  std::vector<int64_t> types = in.Array("attention.indexer.types", {0, 1}, layers);
  if (types.empty() && in.Has("attention.indexer.types")) {
    types = in.PerLayer("attention.indexer.types", {0, 1}, layers);
  }
  const bool all = config.context_length < 1048576;
  for (int64_t i = static_cast<int64_t>(types.size()); i < layers; ++i) {
    types.push_back(all || i < 3 || (i - 2) % 4 == 0 ? 1 : 0);
  }
  types[0] = 1;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    AttentionConfig& attention = config.layers[i].attention;
    attention.indexer->chooses = types[i] != 0;
    attention.rope.yarn_log_multiplier = 0;
  }
  return config;
}

// A dense one with MiniCPM's scales, which its files do not have.
ModelConfig MiniCpm3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  ReadLatent(in, &config);
  config.embedding_scale = 12;
  config.residual_scale = 1.4 / std::sqrt(static_cast<double>(config.layers.size()));
  config.logit_scale = 256.0 / static_cast<double>(config.width);
  return config;
}

ModelConfig Plm(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.activation = Activation::kReluSquared, .gated = false});
  ReadLatent(in, &config);
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
  return config;
}

}  // namespace puna::model::arch
