// GLM: pairs side by side on the first half of each head, fused gate and up.
#include "model/arch/spec.h"

namespace puna::model::arch {

namespace {

// Files for pictures too say how positions are split; then halves rotate together.
RopeKind RopeOf(MetadataReader& in, RopeKind otherwise) {
  return in.Has("rope.dimension_sections") ? RopeKind::kHalves : otherwise;
}

}  // namespace

ModelConfig ChatGlm(MetadataReader& in) { return ReadDecoder(in, {}); }

ModelConfig Glm4(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeOf(in, RopeKind::kInterleaved)});
  UseOutputNorms(&config);
  return config;
}

ModelConfig Glm4Moe(MetadataReader& in) {
  ModelConfig config = ReadDecoder(
      in, {.rope = RopeKind::kHalves, .router = RouterScore::kSigmoid, .normalize_experts = false});
  config.norms.feed_forward = "post_attention_norm";
  return config;
}

}  // namespace puna::model::arch
