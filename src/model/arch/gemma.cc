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

// Ollama's files of models that see pictures also list tokens of pictures, without embeddings.
void CutVocabularyToEmbeddings(const MetadataReader& in, ModelConfig* config) {
  const gguf::Tensor* table = in.file().FindTensor("token_embd.weight");
  if (table != nullptr && in.Has("mm.tokens_per_image"))
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

// Ollama's converter leaves out what it takes for granted: the epsilon and the rope base of models
// that see pictures, and in older files how far the rope of the larger ones is stretched. The 1B
// file of that time has a soft cap that it should not have.
ModelConfig Gemma3(MetadataReader& in) {
  const bool from_ollama = !in.Has("attention.layer_norm_rms_epsilon");
  ModelConfig config = ReadGemma(in, 1e-6);
  CutVocabularyToEmbeddings(in, &config);
  const size_t layers = config.layers.size();
  UseOutputNorms(&config);
  config.logit_softcap = layers == 26 ? 0 : in.Number("final_logit_softcapping", 0, 1e9, 0);
  ReadSlidingWindow(in, 0, 6, WindowPattern::kLastSeesAll, &config);
  RequireHeadNorms(&config);
  const double local_base = in.Number("rope.local.freq_base", 1e-3, 1e15, 10000);
  for (LayerConfig& layer : config.layers) {
    RopeConfig& rope = layer.attention.rope;
    if (layer.attention.window != 0) {
      // Local layers keep the rope that they were trained with, whatever stretches the others.
      rope.base = in.Number("rope.freq_base_swa", 1e-3, 1e15, local_base);
      rope.factor = 1;
      continue;
    }
    if (!in.Has("rope.freq_base"))
      rope.base = in.Number("rope.global.freq_base", 1e-3, 1e15, from_ollama ? 1e6 : rope.base);
    const bool is_large = layers == 34 || layers == 48 || layers == 62;
    if (is_large && !in.Has("rope.scaling.factor")) rope.factor = 8;
  }
  ScaleByWidth(62, &config);  // 27B
  return config;
}

ModelConfig GemmaEmbedding(MetadataReader& in) {
  ModelConfig config = Gemma3(in);
  config.embeddings_only = true;
  MakeBidirectional(&config);
  return config;
}

}  // namespace puna::model::arch
