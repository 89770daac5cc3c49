// Phi 3: like Llama with fused q/k/v and gate/up matrices, rotated halves and two sets of rope
// factors.
#include "model/arch/spec.h"

namespace puna::model::arch {

// attention.sliding_window is written by converters and not used: no file says which layers it
// would be for.
ModelConfig Phi3(MetadataReader& in) { return ReadDecoder(in, {.rope = RopeKind::kHalves}); }

ModelConfig Phi2(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.norm = NormKind::kLayer,
                                        .rope = RopeKind::kHalves,
                                        .activation = Activation::kGeluTanh,
                                        .gated = false});
  config.residual = ResidualForm::kParallel;
  return config;
}

ModelConfig PhiMoe(MetadataReader& in) { return ReadDecoder(in, {.rope = RopeKind::kHalves}); }

}  // namespace puna::model::arch
