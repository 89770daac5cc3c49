// Everything that tells one network from another: hyper-parameters and options, validated. A spec
// (model/arch) reads it from the metadata of a GGUF file; the plan builder turns it into ops.
// Nothing else in puna knows architectures by name.
#ifndef PUNA_MODEL_CONFIG_H_
#define PUNA_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "backend/plan.h"
#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::model {

using backend::Activation;
using backend::NormKind;
using backend::Pooling;
using backend::RopeKind;
using backend::RouterScore;

enum class RopeScaling { kNone, kLinear, kYarn, kLongRope };

struct RopeConfig {
  bool enabled = true;
  bool factors = true;  // rope_freqs.weight or rope_factors_{long,short}.weight divide the
                        // frequencies, where present
  RopeKind kind = RopeKind::kInterleaved;
  int64_t dimensions = 0;  // rotated values per head
  double base = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;             // how many times longer than trained; positions are divided by it
  int64_t original_context = 0;  // tokens that the model was trained for before it was stretched
  double attention_factor = 1;   // multiplies the magnitude
  // YaRN: the magnitude itself, in place of the one computed of the factor.
  std::optional<double> yarn_magnitude;
  double beta_fast = 32, beta_slow = 1, extrapolation = 1;  // YaRN
  double yarn_log_multiplier = 0;                           // deepseek's mscale_all_dim
  double yarn_multiplier = 1;  // its mscale, which counts only beside the other
  bool scales_scores = false;  // what YaRN does to the magnitude, scores grow by as well
};

// Multi-head latent attention (DeepSeek 2): queries, and keys with values, go through narrow
// matrices; all heads share the rotated part of a key. k_size = plain part + rope.dimensions.
struct LatentConfig {
  int64_t q_rank = 0;   // 0: queries come straight from attn_q
  int64_t kv_rank = 0;  // of the latent that keys and values are made of
};

// A narrow attention without values beside it chooses the keys that a token may see (DeepSeek 3.2),
// see backend::IndexOp.
struct IndexerConfig {
  int64_t heads = 0, size = 0, used = 0;
  RopeKind rope = RopeKind::kHalves;
  bool chooses = true;  // false: what an earlier layer chose is used again
  double norm_epsilon = 1e-6;
};

// Queries of later positions are made longer, see backend::PositionScaleOp.
struct TemperatureConfig {
  double scale = 0;
  int64_t length = 1, offset = 0;
};

struct AttentionConfig {
  int64_t heads = 0, kv_heads = 0, k_size = 0, v_size = 0;
  RopeConfig rope;
  bool linear = false;                 // nothing but attn_output of the normed input
  std::optional<LatentConfig> latent;  // then k_size and v_size are those of the expanded heads
  std::optional<IndexerConfig> indexer;
  std::optional<TemperatureConfig> temperature;
  double scale = 0;  // of the scores; 0: 1 / sqrt(k_size)
  double softcap = 0;
  int64_t window = 0;  // tokens; 0: all
  int64_t chunk = 0;   // a token sees back to the last multiple of it; 0: all
  // The layer whose keys and values are used again instead of own ones; below 0: none.
  int64_t kv_layer = -1;
  bool v_from_k = false;      // without attn_v the keys, before their norm, are the values too
  bool fused_thirds = false;  // attn_qkv has as many rows for keys and for values as for queries
  double alibi_max_bias = 0;
  bool causal = true;
  double clamp = 0;      // queries, keys and values are clamped to [-clamp, clamp]; 0: no
  bool qkv_bias = true;  // biases of the projections are applied where present
  // attn_gate of the block's input, through this function, multiplies what the heads saw: head by
  // head or value by value.
  std::optional<Activation> output_gate;
  bool gate_in_query = false;  // the gate is not attn_gate, but behind each head's rows of attn_q
  double output_scale = 1;     // multiplies what the block adds
  bool output_bias = true;     // a bias of the output projection is applied where present
  bool sinks = false;          // attn_sinks is required; it is applied wherever present
  bool qk_norm = false;  // attn_q_norm and attn_k_norm are required; where they are not, present
                         // ones are applied
  bool qk_norm_bias = true;  // their biases are applied where present
  NormKind qk_norm_kind = NormKind::kRms;
  bool qk_norm_after_rope = false;
  // Norms of single heads that have no parameters, of queries and keys after the rope, of values.
  bool plain_qk_norm = false, plain_v_norm = false;
};

// A second mixture over groups of the same experts, which reads what the first one gives
// (GroveMoE).
struct ChunkExpertsConfig {
  int64_t group = 1;  // experts that share one
  int64_t hidden = 0;
  double scale = 1;
};

// Where a mixture stands that has a dense feed-forward beside it.
enum class MixtureForm {
  kAlone,
  kOfLayerInput,  // reads the layer's input through ffn_norm_exps (Arctic)
  kOwnNorms,      // each has norms before and behind, the router one without parameters (Gemma 4)
};

// Mixers that carry a state along instead of looking back. `kernel` is the length of the causal
// convolution in front of the recurrence, in tokens.

// Mamba 1: heads of size 1, each with a decay per state value. PLaMo 2 has larger heads with one
// decay each, and what the input is projected to in another order.
struct MambaConfig {
  int64_t inner = 0;  // heads * head size
  int64_t heads = 0;
  int64_t kernel = 0;
  int64_t state = 0;        // values per channel
  int64_t rank = 0;         // width that time steps are made of
  bool step_norms = false;  // time steps, b and c are normed; where they are not, present norms are
                            // applied if there are all three
  bool plamo = false;
};

struct Mamba2Config {
  int64_t inner = 0, heads = 0, groups = 0, kernel = 0, state = 0;
};

// LFM 2: a convolution between two gates.
struct ShortConvolutionConfig {
  int64_t kernel = 0;
};

// Gated delta nets: Qwen 3 Next with one decay per head, Kimi with one per key value.
struct DeltaNetConfig {
  int64_t heads = 0, k_heads = 0;  // of values and of keys
  int64_t size = 0;                // of a head
  int64_t kernel = 0;
  bool tiled = false;          // value head h reads key head h % k_heads, not h / (heads / k_heads)
  bool decay_per_key = false;  // Kimi's
};

// RWKV 6.
struct RwkvConfig {
  int64_t head_size = 0;
  int64_t mix_rank = 0, decay_rank = 0;  // of the narrow matrices behind mixing and decay
};

using RecurrentConfig =
    std::variant<MambaConfig, Mamba2Config, ShortConvolutionConfig, DeltaNetConfig, RwkvConfig>;

struct MoeConfig {
  int64_t experts = 0, used = 0, hidden = 0;
  int64_t shared_hidden = 0;  // width of the experts that every token uses; 0: none
  int64_t latent = 0;         // width of what the experts read and write; 0: that of the model
  RouterScore score = RouterScore::kSoftmax;
  bool normalize = false;
  double scale = 1;
  int64_t groups = 1, groups_used = 1;
  bool weigh_input = false;
  bool router_sees_residual = false;  // the router reads what the attention read, before its norm
  std::string shared_suffix =
      "_shexp";                       // of the tensors of the shared expert: ffn_up<suffix>.weight
  double scale_with_shared = 1;       // multiplies the sum of the mixture and the shared expert
  bool shared_is_activation = false;  // in place of shared experts: f(x)
  double limit = 0;                   // of the experts, as FeedForwardConfig::limit
  MixtureForm form = MixtureForm::kAlone;
  std::optional<ChunkExpertsConfig> chunks;
  bool fused_in_turn =
      false;  // rows of ffn_gate_up_exps are gate, up, gate, up, ... instead of all gate, all up
};

struct XieluConfig {
  double alpha_n = 0, alpha_p = 0, beta = 0, epsilon = 0;  // as trained: alphas before softplus
};

struct FeedForwardConfig {
  bool present = true;
  int64_t hidden = 0;
  Activation activation = Activation::kSilu;
  bool gated = true;            // false: down(f(up x))
  bool bias = true;             // biases are applied where present
  double limit = 0, alpha = 1;  // clamped gating, see backend::GatedOp
  bool clamp_activated = false;
  double cut_deviations = 0;         // the gate is cut below, see backend::CutBelowOp; 0: no
  std::optional<XieluConfig> xielu;  // instead of the activation of one that is not gated
  bool only_activation = false;      // no matrices at all: f(x)
  std::optional<MoeConfig> moe;      // instead of the plain one
  bool channel_mix = false;  // instead of the plain one: RWKV's, which sees the token before
};

struct LayerConfig {
  bool attends = true;  // there is attention
  AttentionConfig attention;
  std::optional<RecurrentConfig> recurrent;  // instead of the attention, or beside it: summed
  FeedForwardConfig feed_forward;
};

// How a block adds to the residual stream.
enum class ResidualForm {
  kSequential,  // x += attention(norm x); x += ffn(norm x)
  kParallel,    // x += attention(norm x) + ffn(norm x)
  kPostNorm,    // x = norm(x + attention x); x = norm(x + ffn x)   (bert)
};

// The residual stream as several, of which one goes through the layers (Gemma 3n): predicted before
// each layer, corrected after it by what the active one became.
struct AltUpConfig {
  int64_t streams = 4, active = 0;
  int64_t laurel_rank = 64;  // of the narrow path beside the attention
};

// An encoder in front, whose output all layers of the decoder attend to (T5).
struct EncoderConfig {
  int64_t layers = 0;
  int64_t position_buckets = 32;  // of the relative position bias, in both halves
  int64_t start_token = 0;        // what the decoder's text begins with
};

// What a row becomes when texts are ranked or classified (Pooling::kRank): through cls and
// cls.output, where present.
struct ClassifierConfig {
  Pooling row = Pooling::kFirst;  // which row, or the mean of all
  Activation activation = Activation::kTanh;
  bool softmax = false;
};

// Tensors of the norms of a layer, without "blk.N." and ".weight"; empty: there is none.
struct NormTensors {
  std::string attention = "attn_norm", feed_forward = "ffn_norm";  // before the blocks
  // On what the blocks add to the residual stream.
  std::string attention_output, feed_forward_output;
  std::string output = "output_norm";  // after the last layer (a full name)
};

struct ModelConfig {
  std::string architecture;  // general.architecture as written
  std::string name;          // general.name, may be empty
  int64_t vocabulary = 0;
  int64_t context_length = 0;  // tokens, as trained
  int64_t width = 0;           // embedding_length
  std::vector<LayerConfig> layers;
  // The layers run so often one behind the other, over the same tensors; keys and values are those
  // of each pass. In between stands the output norm, or nothing.
  int64_t passes = 1;
  bool norm_between_passes = true;
  NormKind norm_kind = NormKind::kRms;
  double norm_epsilon = 1e-5;
  bool norm_weights = true;  // false: norms have no parameters (olmo)
  NormTensors norms;
  ResidualForm residual = ResidualForm::kSequential;
  double embedding_scale = 1;
  double residual_scale = 1;  // multiplies what a block adds
  int64_t halve_every = 0;    // the residual stream is halved after every so many layers; 0: never
  double logit_scale = 1;     // multiplies the logits
  double logit_softcap = 0;
  bool logit_bias = true;            // output.bias is applied where present
  bool learned_positions = false;    // position_embd.weight is added
  bool token_types = false;          // row 0 of token_types.weight is added
  bool embedding_norm = false;       // token_embd_norm after the embeddings
  bool embeddings_only = false;      // an encoder: no logits
  Pooling pooling = Pooling::kNone;  // of embeddings
  ClassifierConfig classifier;       // for Pooling::kRank
  int64_t per_layer_width = 0;       // of embeddings that each layer has of its own; 0: none
  std::optional<AltUpConfig> altup;
  std::optional<EncoderConfig> encoder;
};

// Reads and validates. Unknown architecture: kUnsupported naming it. Missing keys, impossible
// values (zero heads, head counts that do not divide, negative or absurd sizes): kCorrupt naming
// the key.
Result<ModelConfig> ReadConfig(const gguf::File& file);

// Do tokens see what comes after them? Then a text must be computed in one pass.
bool SeesAhead(const ModelConfig& config);

struct Architecture {
  std::string_view name;    // as general.architecture has it
  std::string_view family;  // the models that users know it by
};
// All architectures with a spec, sorted by name.
std::vector<Architecture> SupportedArchitectures();

}  // namespace puna::model

#endif  // PUNA_MODEL_CONFIG_H_
