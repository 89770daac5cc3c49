// BERT and other encoders: every token sees every token, norms after the residual sums, one pooled
// vector as the result.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig Bert(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer,
                                        .has_rope = false,
                                        .activation = Activation::kGeluTanh,
                                        .gated = false});
  config.residual = ResidualForm::kPostNorm;
  config.embeddings_only = true;
  config.embedding_norm = true;
  config.token_types = true;
  config.learned_positions = true;
  MakeBidirectional(&config);
  return config;
}

}  // namespace puna::model::arch
