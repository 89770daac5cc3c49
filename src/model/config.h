// Everything that tells one network from another: hyper-parameters and options, validated. A spec
// (model/arch) reads it from the metadata of a GGUF file; the plan builder turns it into ops.
// Nothing else in puna knows architectures by name.
#ifndef PUNA_MODEL_CONFIG_H_
#define PUNA_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
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
  double beta_fast = 32, beta_slow = 1, extrapolation = 1;  // YaRN
  double yarn_log_multiplier = 0;                           // deepseek's mscale_all_dim
};

struct AttentionConfig {
  int64_t heads = 0, kv_heads = 0, k_size = 0, v_size = 0;
  RopeConfig rope;
  double scale = 0;  // of the scores; 0: 1 / sqrt(k_size)
  double softcap = 0;
  int64_t window = 0;  // tokens; 0: all
  double alibi_max_bias = 0;
  bool causal = true;
  double clamp = 0;      // queries, keys and values are clamped to [-clamp, clamp]; 0: no
  bool qkv_bias = true;  // biases of the projections are applied where present
  // attn_gate of the block's input, through this function, multiplies what the heads saw: head by
  // head or value by value.
  std::optional<Activation> output_gate;
  double output_scale = 1;  // multiplies what the block adds
  bool sinks = false;       // attn_sinks is required; it is applied wherever present
  bool qk_norm = false;     // attn_q_norm and attn_k_norm are required; where they are not, present
                            // ones are applied
  NormKind qk_norm_kind = NormKind::kRms;
  bool qk_norm_after_rope = false;
};

struct MoeConfig {
  int64_t experts = 0, used = 0, hidden = 0;
  int64_t shared_hidden = 0;  // width of the experts that every token uses; 0: none
  RouterScore score = RouterScore::kSoftmax;
  bool normalize = false;
  double scale = 1;
  int64_t groups = 1, groups_used = 1;
  bool weigh_input = false;
  bool router_sees_residual = false;  // the router reads what the attention read, before its norm
  std::string shared_suffix =
      "_shexp";                  // of the tensors of the shared expert: ffn_up<suffix>.weight
  double scale_with_shared = 1;  // multiplies the sum of the mixture and the shared expert
  bool fused_in_turn =
      false;  // rows of ffn_gate_up_exps are gate, up, gate, up, ... instead of all gate, all up
};

struct FeedForwardConfig {
  int64_t hidden = 0;
  Activation activation = Activation::kSilu;
  bool gated = true;             // false: down(f(up x))
  bool bias = true;              // biases are applied where present
  double limit = 0, alpha = 1;   // clamped gating, see backend::GatedOp
  std::optional<MoeConfig> moe;  // instead of the plain one
};

struct LayerConfig {
  AttentionConfig attention;
  FeedForwardConfig feed_forward;
};

// How a block adds to the residual stream.
enum class ResidualForm {
  kSequential,  // x += attention(norm x); x += ffn(norm x)
  kParallel,    // x += attention(norm x) + ffn(norm x)
  kPostNorm,    // x = norm(x + attention x); x = norm(x + ffn x)   (bert)
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
  NormKind norm_kind = NormKind::kRms;
  double norm_epsilon = 1e-5;
  bool norm_weights = true;  // false: norms have no parameters (olmo)
  NormTensors norms;
  ResidualForm residual = ResidualForm::kSequential;
  double embedding_scale = 1;
  double residual_scale = 1;  // multiplies what a block adds
  double logit_scale = 1;     // multiplies the logits
  double logit_softcap = 0;
  bool learned_positions = false;    // position_embd.weight is added
  bool token_types = false;          // row 0 of token_types.weight is added
  bool embedding_norm = false;       // token_embd_norm after the embeddings
  bool embeddings_only = false;      // an encoder: no logits
  Pooling pooling = Pooling::kNone;  // of embeddings
};

// Reads and validates. Unknown architecture: kUnsupported naming it. Missing keys, impossible
// values (zero heads, head counts that do not divide, negative or absurd sizes): kCorrupt naming
// the key.
Result<ModelConfig> ReadConfig(const gguf::File& file);

// Names of all architectures with a spec, sorted.
std::vector<std::string> SupportedArchitectures();

}  // namespace puna::model

#endif  // PUNA_MODEL_CONFIG_H_
