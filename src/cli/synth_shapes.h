// The models that `puna synth` can make up, and the mixtures of tensor types they come in.
#ifndef PUNA_CLI_SYNTH_SHAPES_H_
#define PUNA_CLI_SYNTH_SHAPES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/quant.h"

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

enum class TensorRole { kEmbedding, kOutput, kValue, kAttentionOutput, kDown, kOther };

// What a name such as "Q4_K_M" means: a main type, and others for tensors that suffer more.
class FileType {
 public:
  // A mixture by its name, or a tensor type, which then serves for all matrices; any case.
  static std::optional<FileType> Find(std::string_view name);
  // general.file_type; nothing for a plain tensor type without a number of its own.
  std::optional<uint32_t> number() const { return number_; }
  // The type of a matrix with rows of `columns` values in layer `layer` of the shape.
  quant::TensorType TypeOf(TensorRole role, int64_t layer, const Shape& shape,
                           int64_t columns) const;

 private:
  struct Mixture;
  friend std::span<const Mixture> AllMixtures();
  quant::TensorType main_ = quant::TensorType::kF32;
  std::optional<uint32_t> number_;
  const Mixture* mixture_ = nullptr;  // null: all matrices alike
};

}  // namespace puna::cli

#endif  // PUNA_CLI_SYNTH_SHAPES_H_
