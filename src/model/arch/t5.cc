// T5: an encoder and a decoder, positions as a bias by distance; and the encoder alone.
#include "model/arch/spec.h"

namespace puna::model::arch {

ModelConfig T5(MetadataReader& in) {
  ModelConfig config = ReadDecoder(in, {.has_rope = false, .activation = Activation::kGeluTanh});
  MakeDense(&config);
  const int64_t layers = static_cast<int64_t>(config.layers.size());
  config.encoder = EncoderConfig{
      .layers = layers,
      .position_buckets = in.Integer("attention.relative_buckets_count", {8, 255}),
      .start_token = in.Integer("decoder_start_token_id", {0, config.vocabulary - 1}, 0),
  };
  config.layers.resize(static_cast<size_t>(in.Integer("decoder_block_count", kLayerRange, layers)),
                       config.layers[0]);
  return config;
}

ModelConfig T5Encoder(MetadataReader& in) {
  ModelConfig config = T5(in);
  config.embeddings_only = true;
  return config;
}

}  // namespace puna::model::arch
