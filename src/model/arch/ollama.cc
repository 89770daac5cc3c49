// Architectures that only Ollama's own converter writes by these names: networks of other families,
// with numbers left out that the shapes of tensors tell. Tensors of the towers for pictures and
// sound beside the text are nobody's and stay unread.
#include "model/arch/spec.h"

namespace puna::model::arch {

// The families' own specs.
SpecFunction DeepSeek2, Glm4, NemotronH;

namespace {

// dims[0] of the tensor, or `otherwise` without it.
int64_t ColsOf(const MetadataReader& in, std::string_view name, int64_t otherwise) {
  const gguf::Tensor* tensor = in.file().FindTensor(name);
  return tensor == nullptr ? otherwise : tensor->dims[0];
}

}  // namespace

// The text half: ordinary attention that turns halves. The first layer is dense.
ModelConfig DeepSeekOcr(MetadataReader& in) {
  ModelConfig config =
      ReadDecoder(in, {.rope = RopeKind::kHalves, .normalize_experts = false, .epsilon = 1e-6});
  KeepMixturesWithRouters(in, &config);
  for (LayerConfig& layer : config.layers) {
    layer.attention.rope.factors = false;
    std::optional<MoeConfig>& moe = layer.feed_forward.moe;
    if (!moe) continue;
    moe->hidden = ColsOf(in, "blk.1.ffn_down_exps.weight", moe->hidden);
    moe->shared_hidden = ColsOf(in, "blk.1.ffn_down_shexp.weight", moe->shared_hidden);
  }
  return config;
}

ModelConfig GlmOcr(MetadataReader& in) { return Glm4(in); }

// GLM 4.7 Flash. The lengths without "_mla" are those of the heads.
ModelConfig Glm4MoeLite(MetadataReader& in) {
  ModelConfig config = DeepSeek2(in);
  for (LayerConfig& layer : config.layers) {
    layer.attention.k_size = in.Integer("attention.key_length", kHeadSizeRange);
    layer.attention.v_size = in.Integer("attention.value_length", kHeadSizeRange);
  }
  return config;
}

ModelConfig NemotronHOmni(MetadataReader& in) { return NemotronH(in); }

}  // namespace puna::model::arch
