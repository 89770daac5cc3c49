// What an architecture is: a function that turns the metadata of a GGUF file into a ModelConfig,
// and the list of them.
//
// To add one: write the function in the file of its family and add its line to the list in
// registry.cc. Start from ReadDecoder, which reads every key that decoders share, and change what
// differs. A spec computes nothing but the numbers of the config; what a network does with them is
// in model/model.cc and the block files.
#ifndef PUNA_MODEL_ARCH_SPEC_H_
#define PUNA_MODEL_ARCH_SPEC_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/metadata_reader.h"

namespace puna::model::arch {

using SpecFunction = ModelConfig(MetadataReader& in);

// The spec of general.architecture `name`; null if there is none.
SpecFunction* FindSpec(std::string_view name);

// Runs a spec and checks what every network must satisfy. ReadConfig is this with the spec of the
// file's own architecture.
Result<ModelConfig> ReadChecked(SpecFunction* spec, MetadataReader& in);

// What decoders differ in without a metadata key for it.
struct DecoderTraits {
  NormKind norm = NormKind::kRms;
  RopeKind rope = RopeKind::kInterleaved;
  bool has_rope = true;
  Activation activation = Activation::kSilu;
  bool gated = true;
  RouterScore router = RouterScore::kSoftmax;  // of a mixture, where the metadata does not say
  bool normalize_experts = true;               // false: where the metadata says so
  // Used where the metadata has no epsilon; below 0: that is an error.
  double epsilon = -1;
  // Layers may be without heads or without a feed-forward: their numbers may be 0 or absent.
  bool optional_blocks = false;
};

// Undoes the mixtures of a network that has none, whatever the metadata says of experts.
void MakeDense(ModelConfig* config);
// Every token sees all others: encoders, and models that write a text in any order.
void MakeBidirectional(ModelConfig* config);
// Biases of the output projection and of the feed-forward are not applied, whatever the file has.
void IgnoreOutputBiases(ModelConfig* config);
// attn_q_norm and attn_k_norm must be there.
void RequireHeadNorms(ModelConfig* config);
// Leaves mixtures only in the layers that have a router: ffn_gate_inp.
void KeepMixturesWithRouters(const MetadataReader& in, ModelConfig* config);
// The plain rope, whatever stretches that of other layers.
void DoNotStretch(RopeConfig* rope);
// Gemma's names of the norms after the blocks.
void UseOutputNorms(ModelConfig* config);

// Sizes, norms, rope and its scaling, feed-forward, experts, pooling: all keys of general use, the
// same for every layer unless the metadata has arrays.
ModelConfig ReadDecoder(MetadataReader& in, const DecoderTraits& traits);

// Which layers of a period see only a window: all but the last one, or all but the first.
enum class WindowPattern { kLastSeesAll, kFirstSeesAll };

// Which layers see only a part of the text: by attention.sliding_window_pattern, a period (absent:
// `period`) or a flag per layer; a period of 0 makes all of them local.
std::vector<bool> ReadLocalLayers(MetadataReader& in, int64_t period, WindowPattern pattern,
                                  const ModelConfig& config);
// The same where a single value is a flag for all layers.
std::vector<bool> ReadLocalFlags(MetadataReader& in, const ModelConfig& config);

// Sets `window` on the layers of ReadLocalLayers. The window is
// attention.sliding_window, absent: `window`. Local layers take the rope base of rope.freq_base_swa
// if there is one.
void ReadSlidingWindow(MetadataReader& in, int64_t window, int64_t period, WindowPattern pattern,
                       ModelConfig* config);

}  // namespace puna::model::arch

#endif  // PUNA_MODEL_ARCH_SPEC_H_
