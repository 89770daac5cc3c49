// BERT and other encoders: every token sees every token, norms after the residual sums, one pooled
// vector as the result.
#include "model/arch/spec.h"

namespace puna::model::arch {

namespace {

ModelConfig ReadBert(MetadataReader& in, const DecoderTraits& traits) {
  ModelConfig config = ReadDecoder(in, traits);
  config.residual = ResidualForm::kPostNorm;
  config.embeddings_only = true;
  config.embedding_norm = true;
  config.token_types = in.file().FindTensor("token_types.weight") != nullptr;
  MakeBidirectional(&config);
  return config;
}

ModelConfig ReadPreNormEncoder(MetadataReader& in, const DecoderTraits& traits) {
  ModelConfig config = ReadDecoder(in, traits);
  config.embeddings_only = true;
  MakeBidirectional(&config);
  return config;
}

// What gates in the feed-forward, by Hugging Face's name of it or that of the gated form.
Activation ReadGateActivation(MetadataReader& in, Activation otherwise) {
  constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"gelu", Activation::kGeluTanh}, {"geglu", Activation::kGeluTanh},
      {"silu", Activation::kSilu},     {"swish", Activation::kSilu},
      {"swiglu", Activation::kSilu},   {"relu", Activation::kRelu},
      {"reglu", Activation::kRelu},
  };
  const std::string name = in.String("hidden_activation", "");
  if (name.empty()) return otherwise;
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  in.Fail({ErrorCode::kUnsupported,
           fmt::format("metadata key {}.hidden_activation is '{}', expected gelu, silu, relu or "
                       "their gated forms",
                       in.architecture(), name.substr(0, 64))});
  return otherwise;
}

}  // namespace

ModelConfig Bert(MetadataReader& in) {
  ModelConfig config = ReadBert(in, {.norm = NormKind::kLayer,
                                     .has_rope = false,
                                     .activation = Activation::kGeluTanh,
                                     .gated = false});
  config.learned_positions = true;
  return config;
}

ModelConfig JinaBertV2(MetadataReader& in) {
  ModelConfig config = ReadBert(
      in, {.norm = NormKind::kLayer, .has_rope = false, .activation = Activation::kGeluTanh});
  for (LayerConfig& layer : config.layers) {
    layer.attention.alibi_max_bias = 8;
    layer.attention.qk_norm_kind = NormKind::kLayer;
  }
  return config;
}

ModelConfig JinaBertV3(MetadataReader& in) {
  return ReadBert(in, {.norm = NormKind::kLayer,
                       .rope = RopeKind::kHalves,
                       .activation = Activation::kGeluTanh,
                       .gated = false});
}

ModelConfig NomicBert(MetadataReader& in) {
  ModelConfig config = ReadBert(in, {.norm = NormKind::kLayer, .rope = RopeKind::kHalves});
  for (LayerConfig& layer : config.layers) layer.feed_forward.bias = false;
  return config;
}

// Every moe_every_n_layers-th layer is a mixture; nothing is gated.
ModelConfig NomicBertMoe(MetadataReader& in) {
  ModelConfig config = ReadBert(in, {.norm = NormKind::kLayer,
                                     .rope = RopeKind::kHalves,
                                     .activation = Activation::kGeluTanh,
                                     .gated = false,
                                     .normalize_experts = false});
  const int64_t step = in.Integer("moe_every_n_layers", kLayerRange);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (static_cast<int64_t>(i) % step != 1) config.layers[i].feed_forward.moe.reset();
  }
  return config;
}

ModelConfig ModernBert(MetadataReader& in) {
  ModelConfig config =
      ReadPreNormEncoder(in, {.norm = NormKind::kLayer,
                              .rope = RopeKind::kHalves,
                              .activation = ReadGateActivation(in, Activation::kGeluTanh)});
  config.embedding_norm = true;
  config.classifier = {.row = Pooling::kMean, .activation = Activation::kGeluTanh};
  ReadSlidingWindow(in, 128, 3, WindowPattern::kFirstSeesAll, &config);
  return config;
}

ModelConfig NeoBert(MetadataReader& in) {
  ModelConfig config = ReadPreNormEncoder(in, {});
  config.norms.output = "enc.output_norm";
  return config;
}

ModelConfig EuroBert(MetadataReader& in) {
  return ReadPreNormEncoder(in, {.rope = RopeKind::kHalves});
}

}  // namespace puna::model::arch
