// Qwen 2 and later: rotated halves; 2 has biases on q, k and v, 3 has norms on q and k instead.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig Qwen2(MetadataReader& in) { return ReadDecoder(in, {.rope = RopeKind::kHalves}); }

ModelConfig Qwen3(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.rope = RopeKind::kHalves});
  for (LayerConfig& layer : config.layers) layer.attention.qk_norm = true;
  return config;
}

}  // namespace puna::model::arch
