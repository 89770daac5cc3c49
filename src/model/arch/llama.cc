// Llama and what is built like it: RMS norms, rotated pairs side by side, gated SiLU.
#include "model/arch/spec.h"

namespace puna::model::arch {

// Llama 1 to 3, Mistral, Mixtral.
ModelConfig Llama(MetadataReader& in) { return ReadDecoder(in, {}); }

ModelConfig Mistral3(MetadataReader& in) {
  if (in.Number("attention.temperature_scale", 0, 1e9, 0) != 0) {
    in.Fail({ErrorCode::kUnsupported, "attention.temperature_scale of mistral3 is not supported"});
  }
  return ReadDecoder(in, {});
}

// The same network with its scales made explicit; rope.scaling.finetuned = false means no rope.
ModelConfig Granite(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {});
  config.embedding_scale = in.Number("embedding_scale", 0, 1e9, 1);
  config.residual_scale = in.Number("residual_scale", 0, 1e9, 1);
  config.logit_scale = 1 / in.Number("logit_scale", 1e-9, 1e9);
  for (LayerConfig& layer : config.layers)
    layer.attention.rope.enabled = in.Bool("rope.scaling.finetuned", true);
  return config;
}

}  // namespace puna::model::arch
