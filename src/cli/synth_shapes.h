// The models that `puna synth` can make up.
#ifndef PUNA_CLI_SYNTH_SHAPES_H_
#define PUNA_CLI_SYNTH_SHAPES_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace puna::cli {

// The dimensions of a published model. All in values, not bytes.
struct Shape {
  std::string_view name;
  std::string_view architecture;  // general.architecture
  int64_t width, layers;
  int64_t heads, kv_heads, head_size;
  int64_t hidden;  // of the feed-forward
  int64_t vocabulary;
  int64_t context_length;
  float rope_base;
  bool tied;     // the output matrix is the embedding table
  bool qk_norm;  // attn_q_norm and attn_k_norm
  int64_t experts = 0, experts_used = 0, expert_hidden = 0;
  int64_t window = 0;       // of local layers
  bool post_norms = false;  // post_attention_norm and post_ffw_norm
};

std::span<const Shape> AllShapes();
const Shape* FindShape(std::string_view name);  // null if unknown

}  // namespace puna::cli

#endif  // PUNA_CLI_SYNTH_SHAPES_H_
