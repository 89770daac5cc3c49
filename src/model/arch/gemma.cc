// Gemma: embeddings scaled by the root of the width, gated GELU, from 2 on norms after the blocks
// and local layers.
#include <algorithm>
#include <cmath>

#include "model/arch/spec.h"

namespace puna::model::arch {
namespace {

ModelConfig ReadGemma(MetadataReader& in, double epsilon = -1) {
  ModelConfig config = ReadDecoder(
      in, {.rope = RopeKind::kHalves, .activation = Activation::kGeluTanh, .epsilon = epsilon});
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  return config;
}

// The largest models scale scores by the width per head instead of the head size.
void ScaleByWidth(int64_t layers_of_largest, ModelConfig* config) {
  if (static_cast<int64_t>(config->layers.size()) != layers_of_largest) return;
  for (LayerConfig& layer : config->layers) {
    layer.attention.scale =
        1 / std::sqrt(static_cast<double>(config->width / layer.attention.heads));
  }
}

// Ollama's files also list tokens of pictures and sound, without embeddings.
void CutVocabularyToEmbeddings(const MetadataReader& in, std::string_view name,
                               ModelConfig* config) {
  if (const gguf::Tensor* table = in.file().FindTensor(name))
    config->vocabulary = std::min(config->vocabulary, table->dims[1]);
}

}  // namespace

ModelConfig Gemma(MetadataReader& in) { return ReadGemma(in); }

ModelConfig Gemma2(MetadataReader& in) {
  ModelConfig config = ReadGemma(in);
  UseOutputNorms(&config);
  config.logit_softcap = in.Number("final_logit_softcapping", 0, 1e9, 30);
  for (LayerConfig& layer : config.layers) {
    layer.attention.softcap = in.Number("attn_logit_softcapping", 0, 1e9, 50);
  }
  ReadSlidingWindow(in, 4096, 2, WindowPattern::kLastSeesAll, &config);
  ScaleByWidth(46, &config);  // 27B
  return config;
}

namespace {

// Ollama's converter leaves out what it takes for granted: the epsilon and the rope base of models
// that see pictures, and in older files how far the rope of the larger ones is stretched. The 1B
// file of that time has a soft cap that it should not have.
ModelConfig ReadGemma3(MetadataReader& in) {
  const bool from_ollama = !in.Has("attention.layer_norm_rms_epsilon");
  ModelConfig config = ReadGemma(in, 1e-6);
  CutVocabularyToEmbeddings(in, "token_embd.weight", &config);
  const size_t layers = config.layers.size();
  UseOutputNorms(&config);
  config.logit_softcap = layers == 26 ? 0 : in.Number("final_logit_softcapping", 0, 1e9, 0);
  ReadSlidingWindow(in, 0, 6, WindowPattern::kLastSeesAll, &config);
  RequireHeadNorms(&config);
  for (LayerConfig& layer : config.layers) {
    RopeConfig& rope = layer.attention.rope;
    if (layer.attention.window != 0) {
      // Local layers keep the rope that they were trained with, whatever stretches the others.
      rope.base = in.Number("rope.freq_base_swa", 1e-3, 1e15, 10000);
      DoNotStretch(&rope);
      continue;
    }
    if (from_ollama && !in.Has("rope.freq_base")) rope.base = 1e6;
    const bool is_large = layers == 34 || layers == 48 || layers == 62;
    if (is_large && !in.Has("rope.scaling.factor")) rope.factor = 8;
  }
  ScaleByWidth(62, &config);  // 27B
  return config;
}

}  // namespace

ModelConfig GemmaEmbedding(MetadataReader& in) {
  ModelConfig config = ReadGemma3(in);
  if (in.file().FindTensor("output_norm.weight") == nullptr) config.norms.output = "norm";
  config.embeddings_only = true;
  MakeBidirectional(&config);
  return config;
}

// Ollama's files of EmbeddingGemma are called gemma3 too.
ModelConfig Gemma3(MetadataReader& in) {
  const bool embeds = in.file().FindTensor("dense.0.weight") != nullptr;
  return embeds ? GemmaEmbedding(in) : ReadGemma3(in);
}

namespace {

// Keys and values of the last layers are those of the last layer of their kind that has its own.
void ShareKeys(const std::vector<bool>& local, int64_t own_layers, ModelConfig* config) {
  for (size_t i = 0; i < config->layers.size(); ++i) {
    if (static_cast<int64_t>(i) < own_layers) continue;
    config->layers[i].attention.kv_layer = std::max<int64_t>(0, own_layers - (local[i] ? 2 : 1));
    config->layers[i].attention.qkv_bias = false;
  }
}

// What 3n and 4 have in common: plain scores, normed values, and a rope of their own for local
// layers.
ModelConfig ReadGemma3n(MetadataReader& in, const std::vector<bool>& local, ModelConfig config) {
  const int64_t window = in.Integer("attention.sliding_window", {0, kContextRange.max});
  const double base = in.Number("rope.freq_base_swa", 1e-3, 1e15, 10000);
  UseOutputNorms(&config);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    AttentionConfig& attention = config.layers[i].attention;
    attention.scale = 1;
    attention.qk_norm = attention.plain_v_norm = true;
    if (!local[i]) continue;
    attention.window = window;
    attention.rope.base = base;
    attention.rope.factors = false;
    DoNotStretch(&attention.rope);
  }
  return config;
}

}  // namespace

ModelConfig Gemma3n(MetadataReader& in) {
  ModelConfig config = ReadGemma(in);
  const std::vector<bool> local = ReadLocalLayers(in, 5, WindowPattern::kLastSeesAll, config);
  config = ReadGemma3n(in, local, config);
  config.altup = AltUpConfig{};
  CutVocabularyToEmbeddings(in, "per_layer_token_embd.weight", &config);
  config.per_layer_width = 256;
  config.logit_softcap = 30;
  ShareKeys(local, 20, &config);
  for (LayerConfig& layer : config.layers) layer.attention.rope.factors = false;
  for (size_t i = 0; i < std::min<size_t>(10, config.layers.size()); ++i) {
    config.layers[i].feed_forward.cut_deviations = 1.6448533535003662;  // the best 5 %
  }
  return config;
}

// Local layers may have heads of another size; mixtures have a dense feed-forward beside them.
ModelConfig Gemma4(MetadataReader& in) {
  ModelConfig config = ReadGemma(in);
  const std::vector<bool> local = ReadLocalFlags(in, config);
  config = ReadGemma3n(in, local, config);
  config.per_layer_width = in.Integer("embedding_length_per_layer_input", {0, kWidthRange.max});
  config.logit_softcap = in.Number("final_logit_softcapping", 0, 1e9, 30);
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  ShareKeys(local, layers - in.Integer("attention.shared_kv_layers", {0, layers - 1}, 0), &config);
  KeepMixturesWithRouters(in, &config);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    AttentionConfig& attention = config.layers[i].attention;
    attention.v_from_k = true;
    if (std::optional<MoeConfig>& moe = config.layers[i].feed_forward.moe) {
      moe->form = MixtureForm::kOwnNorms;
    }
    if (!local[i]) continue;
    attention.k_size = in.Integer("attention.key_length_swa", kHeadSizeRange, attention.k_size);
    attention.v_size = in.Integer("attention.value_length_swa", kHeadSizeRange, attention.v_size);
    attention.rope.dimensions =
        in.Integer("rope.dimension_count_swa", kHeadSizeRange, attention.rope.dimensions);
  }
  return config;
}

}  // namespace puna::model::arch
