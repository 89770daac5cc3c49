// The names are facts of Hugging Face's transformers (modeling_*.py) and of GGUF.
#include "store/convert/families.h"

#include <algorithm>
#include <string>

namespace puna::store {
namespace {

using X = Transform;

constexpr TensorRule kEnds[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};

constexpr TensorRule kNorms[] = {
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
};
constexpr TensorRule kAttention[] = {
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
};
// Llama's rope turns neighbours in GGUF and halves in Hugging Face's files; the others' turns
// halves in both.
constexpr TensorRule kPairedAttention[] = {
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", X::kQueryPairs},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", X::kKeyPairs},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
};
constexpr TensorRule kHeadNorms[] = {
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
};
constexpr TensorRule kMlp[] = {
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr TensorRule kMixtralExperts[] = {
    {"blk.{}.ffn_gate_inp", "model.layers.{}.block_sparse_moe.gate"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.block_sparse_moe.experts.{e}.w1"},
    {"blk.{}.ffn_down_exps", "model.layers.{}.block_sparse_moe.experts.{e}.w2"},
    {"blk.{}.ffn_up_exps", "model.layers.{}.block_sparse_moe.experts.{e}.w3"},
};

constexpr TensorRule kGraniteExperts[] = {
    {"blk.{}.ffn_gate_inp", "model.layers.{}.block_sparse_moe.router.layer"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.block_sparse_moe.input_linear", X::kFirstHalf},
    {"blk.{}.ffn_up_exps", "model.layers.{}.block_sparse_moe.input_linear", X::kSecondHalf},
    {"blk.{}.ffn_down_exps", "model.layers.{}.block_sparse_moe.output_linear"},
    {"blk.{}.ffn_gate_shexp", "model.layers.{}.shared_mlp.input_linear", X::kFirstHalf},
    {"blk.{}.ffn_up_shexp", "model.layers.{}.shared_mlp.input_linear", X::kSecondHalf},
    {"blk.{}.ffn_down_shexp", "model.layers.{}.shared_mlp.output_linear"},
};

constexpr TensorRule kQwenExperts[] = {
    {"blk.{}.ffn_gate_inp", "model.layers.{}.mlp.gate"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.{e}.gate_proj"},
    {"blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.{e}.up_proj"},
    {"blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.{e}.down_proj"},
    {"blk.{}.ffn_gate_inp_shexp", "model.layers.{}.mlp.shared_expert_gate", X::kVector},
    {"blk.{}.ffn_gate_shexp", "model.layers.{}.mlp.shared_expert.gate_proj"},
    {"blk.{}.ffn_up_shexp", "model.layers.{}.mlp.shared_expert.up_proj"},
    {"blk.{}.ffn_down_shexp", "model.layers.{}.mlp.shared_expert.down_proj"},
};

constexpr TensorRule kGemma[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm", X::kAddOne},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm", X::kAddOne},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm", X::kAddOne},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm", X::kAddOne},
};
constexpr TensorRule kGemma1Norms[] = {
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm", X::kAddOne}};
constexpr TensorRule kGemma2Norms[] = {
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm", X::kAddOne},
    {"blk.{}.ffn_norm", "model.layers.{}.pre_feedforward_layernorm", X::kAddOne},
    {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm", X::kAddOne},
};

constexpr TensorRule kPhi3[] = {
    {"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr TensorRule kOlmo2Norms[] = {
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"},
};

constexpr TensorRule kGptOss[] = {
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_sinks", "model.layers.{}.self_attn.sinks"},
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate_inp", "model.layers.{}.mlp.router"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.gate_up_proj", X::kEvenRows},
    {"blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.gate_up_proj", X::kOddRows},
    {"blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.down_proj"},
};

constexpr TensorRule kBert[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"position_embd", "embeddings.position_embeddings", X::kPositions},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.{}.attn_q", "encoder.layer.{}.attention.self.query"},
    {"blk.{}.attn_k", "encoder.layer.{}.attention.self.key"},
    {"blk.{}.attn_v", "encoder.layer.{}.attention.self.value"},
    {"blk.{}.attn_output", "encoder.layer.{}.attention.output.dense"},
    {"blk.{}.attn_output_norm", "encoder.layer.{}.attention.output.LayerNorm"},
    {"blk.{}.ffn_up", "encoder.layer.{}.intermediate.dense"},
    {"blk.{}.ffn_down", "encoder.layer.{}.output.dense"},
    {"blk.{}.layer_output_norm", "encoder.layer.{}.output.LayerNorm"},
};

constexpr TensorRule kNomic[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"token_embd_norm", "emb_ln"},
    {"blk.{}.attn_qkv", "encoder.layers.{}.attn.Wqkv"},
    {"blk.{}.attn_output", "encoder.layers.{}.attn.out_proj"},
    {"blk.{}.attn_output_norm", "encoder.layers.{}.norm1"},
    {"blk.{}.ffn_up", "encoder.layers.{}.mlp.fc11"},
    {"blk.{}.ffn_gate", "encoder.layers.{}.mlp.fc12"},
    {"blk.{}.ffn_down", "encoder.layers.{}.mlp.fc2"},
    {"blk.{}.layer_output_norm", "encoder.layers.{}.norm2"},
};

constexpr TensorRule kNomicMoe[] = {
    {"blk.{}.ffn_up", "encoder.layers.{}.mlp.fc1"},
    {"blk.{}.ffn_gate_inp", "encoder.layers.{}.mlp.router.layer"},
    {"blk.{}.ffn_up_exps", "encoder.layers.{}.mlp.experts.mlp.w1", X::kExpertRows},
    {"blk.{}.ffn_down_exps", "encoder.layers.{}.mlp.experts.mlp.w2", X::kExpertColumns},
};

constexpr KeyRule kCommonKeys[] = {
    {"block_count", {"num_hidden_layers", "n_layer"}},
    {"context_length", {"max_position_embeddings", "n_positions"}},
    {"embedding_length", {"hidden_size", "n_embd"}},
    {"feed_forward_length", {"intermediate_size", "n_inner"}},
    {"attention.head_count", {"num_attention_heads", "n_head"}},
    {"attention.head_count_kv", {"num_key_value_heads", "num_attention_heads", "n_head"}},
    {"attention.key_length", {"head_dim"}},
    {"attention.value_length", {"head_dim"}},
    {"attention.layer_norm_rms_epsilon", {"rms_norm_eps"}, KeyKind::kNumber},
    {"attention.layer_norm_epsilon", {"layer_norm_eps", "layer_norm_epsilon"}, KeyKind::kNumber},
    {"rope.freq_base", {"rope_theta", "rotary_emb_base"}, KeyKind::kNumber},
    {"vocab_size", {"vocab_size"}},
    {"expert_count", {"num_local_experts", "num_experts"}},
    {"expert_used_count", {"num_experts_per_tok", "experts_per_token"}},
    {"expert_feed_forward_length", {"moe_intermediate_size"}},
    {"expert_shared_feed_forward_length",
     {"shared_expert_intermediate_size", "shared_intermediate_size"}},
};

constexpr KeyRule kGraniteKeys[] = {
    {"attention.scale", {"attention_multiplier"}, KeyKind::kNumber},
    {"embedding_scale", {"embedding_multiplier"}, KeyKind::kNumber},
    {"residual_scale", {"residual_multiplier"}, KeyKind::kNumber},
    {"logit_scale", {"logits_scaling"}, KeyKind::kNumber},
};
constexpr KeyRule kGemma2Keys[] = {
    {"attn_logit_softcapping", {"attn_logit_softcapping"}, KeyKind::kNumber},
    {"final_logit_softcapping", {"final_logit_softcapping"}, KeyKind::kNumber},
    {"attention.sliding_window_pattern", {"sliding_window_pattern", "_sliding_window_pattern"}},
};
constexpr KeyRule kGemma3Keys[] = {
    {"final_logit_softcapping", {"final_logit_softcapping"}, KeyKind::kNumber},
    {"rope.freq_base_swa", {"rope_local_base_freq"}, KeyKind::kNumber},
    {"attention.sliding_window_pattern", {"sliding_window_pattern", "_sliding_window_pattern"}},
};
// Those of transformers' Gemma3TextConfig; the published files have only what differs.
constexpr ConfigDefault kGemma3Defaults[] = {
    {"num_attention_heads", 8},          {"num_key_value_heads", 4}, {"head_dim", 256},
    {"max_position_embeddings", 131072}, {"rms_norm_eps", 1e-6},     {"rope_theta", 1e6},
    {"rope_local_base_freq", 1e4},
};
constexpr KeyRule kGptOssKeys[] = {
    {"expert_feed_forward_length", {"intermediate_size"}},
    {"attention.sliding_window_pattern", {"sliding_window_pattern"}},
};
constexpr KeyRule kNomicMoeKeys[] = {
    {"moe_every_n_layers", {"moe_every_n_layers"}},
    {"expert_used_count", {"moe_top_k", "num_experts_per_tok"}},
};
constexpr KeyRule kWindowKeys[] = {
    {"attention.sliding_window_pattern", {"sliding_window_pattern"}}};

constexpr Family kFamilies[] = {
    {{"LlamaForCausalLM", "MistralForCausalLM"},
     "llama",
     {kEnds, kNorms, kPairedAttention, kMlp},
     {}},
    {{"MixtralForCausalLM"}, "llama", {kEnds, kNorms, kPairedAttention, kMlp, kMixtralExperts}, {}},
    {{"GraniteForCausalLM"}, "granite", {kEnds, kNorms, kPairedAttention, kMlp}, kGraniteKeys},
    {{"GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"},
     "granitemoe",
     {kEnds, kNorms, kPairedAttention, kMlp, kGraniteExperts},
     kGraniteKeys},
    {{"Qwen2ForCausalLM", "Qwen2Model"},
     "qwen2",
     {kEnds, kNorms, kAttention, kHeadNorms, kMlp},
     {}},
    {{"Qwen2MoeForCausalLM"},
     "qwen2moe",
     {kEnds, kNorms, kAttention, kHeadNorms, kMlp, kQwenExperts},
     {}},
    {{"Qwen3ForCausalLM", "Qwen3Model"},
     "qwen3",
     {kEnds, kNorms, kAttention, kHeadNorms, kMlp},
     {}},
    {{"Qwen3MoeForCausalLM"},
     "qwen3moe",
     {kEnds, kNorms, kAttention, kHeadNorms, kMlp, kQwenExperts},
     {}},
    {{"GemmaForCausalLM"}, "gemma", {kGemma, kAttention, kMlp, kGemma1Norms}, {}},
    {{"Gemma2ForCausalLM"}, "gemma2", {kGemma, kAttention, kMlp, kGemma2Norms}, kGemma2Keys},
    {{"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"},
     "gemma3",
     {kGemma, kAttention, kMlp, kGemma2Norms},
     kGemma3Keys,
     kGemma3Defaults},
    {{"Phi3ForCausalLM", "Phi4ForCausalLM"}, "phi3", {kEnds, kNorms, kPhi3}, {}},
    {{"Olmo2ForCausalLM"},
     "olmo2",
     {kEnds, kAttention, kHeadNorms, kOlmo2Norms, kMlp},
     kWindowKeys},
    {{"GptOssForCausalLM"}, "gpt-oss", {kEnds, kAttention, kGptOss}, kGptOssKeys},
    {{"BertModel", "BertForMaskedLM", "XLMRobertaModel", "XLMRobertaForMaskedLM", "RobertaModel",
      "CamembertModel"},
     "bert",
     {kBert},
     {},
     {},
     RopeUse::kNone,
     true},
    {{"NomicBertModel"},
     "nomic-bert",
     {kNomic},
     {},
     {},
     RopeUse::kYes,
     true,
     "moe_every_n_layers",
     "NomicBertMoEModel"},
    {{"NomicBertMoEModel"},
     "nomic-bert-moe",
     {kNomic, kNomicMoe},
     kNomicMoeKeys,
     {},
     RopeUse::kYes,
     true},
};

// Parts of names.
constexpr std::string_view kIgnored[] = {
    "mlp.experts.bias",  // Nomic's; the networks of GGUF have no place for it
    "rotary_emb.inv_freq", "position_ids", "pooler.", "vision_tower.", "multi_modal_projector.",
    "vision_model.",
    // Heads that encoders are trained with.
    "cls.predictions.", "cls.seq_relationship.", "lm_head.dense.", "lm_head.layer_norm.",
    "lm_head.decoder.", "lm_head.bias",
    // For activations and keys and values that are rounded too; here they are not.
    ".input_scale", ".activation_scale", ".k_scale", ".v_scale", ".kv_scale"};

}  // namespace

const Family* FindFamily(std::string_view architecture) {
  for (const Family& family : kFamilies) {
    for (const std::string_view name : family.names) {
      if (!name.empty() && name == architecture) return &family;
    }
  }
  return nullptr;
}

std::span<const Family> AllFamilies() { return kFamilies; }

std::string_view NamesOfFamilies() {
  static const std::string names = [] {
    std::string all;
    for (const Family& family : kFamilies) {
      for (const std::string_view name : family.names) {
        if (!name.empty()) all += (all.empty() ? "" : ", ") + std::string(name);
      }
    }
    return all;
  }();
  return names;
}

std::span<const KeyRule> CommonKeys() { return kCommonKeys; }

bool IsIgnored(std::string_view stored) {
  return std::any_of(std::begin(kIgnored), std::end(kIgnored), [&](std::string_view part) {
    return stored.find(part) != std::string_view::npos;
  });
}

}  // namespace puna::store
