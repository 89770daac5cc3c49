#include "model/ollama_names.h"

namespace puna::model {
namespace {

struct Names {
  std::string_view usual, other;
};

constexpr Names kKeys[] = {
    {"attention.temperature_scale", "rope.scaling_beta"},
    {"rope.dimension_count_swa", "rope.swa.dimension_count"},
    {"rope.dimension_sections", "rope.mrope_section"},
    {"rope.freq_base", "rope.global.freq_base"},
    {"rope.freq_base_swa", "rope.local.freq_base"},
    {"rope.freq_base_swa", "rope.swa.freq_base"},
    {"rope.scaling.yarn_attn_factor", "rope.scaling.attn_factor"},
    {"rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"},
    {"rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"},
    {"rope.scaling.yarn_ext_factor", "rope.scaling.extrapolation_factor"},
};

// Of parts of names.
constexpr Names kTensors[] = {
    {".attn_gate.", ".attn_g."},
    {".attn_output.", ".attn_out."},
    {".attn_sinks.weight", ".attn_sinks"},
    {".ffn_down_exps.scale", ".ffn_gate_inp.per_expert_scale"},
    {".ffn_latent_down.", ".ffn_latent_in."},
    {".ffn_latent_up.", ".ffn_latent_out."},
    {".post_attention_norm.", ".post_attn_norm."},
    {".post_ffw_norm.", ".post_ffn_norm."},
    {".ssm_dt.bias", ".ssm_dt"},
    {"dense_2.", "dense.0."},
    {"dense_3.", "dense.1."},
};

}  // namespace

std::string KeyInFile(const gguf::File& file, std::string_view architecture, std::string_view key) {
  std::string usual = fmt::format("{}.{}", architecture, key);
  if (file.Find(usual) != nullptr) return usual;
  for (const Names& names : kKeys) {
    if (names.usual != key) continue;
    std::string other = fmt::format("{}.{}", architecture, names.other);
    if (file.Find(other) != nullptr) return other;
  }
  return usual;
}

const gguf::Tensor* TensorInFile(const gguf::File& file, std::string_view name) {
  if (const gguf::Tensor* tensor = file.FindTensor(name)) return tensor;
  for (const Names& names : kTensors) {
    const size_t at = name.find(names.usual);
    if (at == std::string_view::npos) continue;
    std::string other(name);
    other.replace(at, names.usual.size(), names.other);
    if (const gguf::Tensor* tensor = file.FindTensor(other)) return tensor;
  }
  return nullptr;
}

}  // namespace puna::model
