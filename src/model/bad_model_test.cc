// Files that are no good: each one clear error that names the thing, what it is and what it should
// be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/config.h"
#include "model/model.h"
#include "tests/support/tiny_model.h"

namespace puna::model {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;

Result<std::shared_ptr<const backend::Plan>> Load(const TinyModel& tiny,
                                                  const PlanOptions& options = {}) {
  PUNA_ASSIGN_OR_RETURN(const std::shared_ptr<const gguf::File> file, tiny.Open());
  PUNA_ASSIGN_OR_RETURN(const ModelConfig config, ReadConfig(*file));
  return BuildPlan(config, file, options);
}

struct BadModel {
  const char* what;
  void (*bend)(TinyModel& model);
  ErrorCode code;
  std::vector<std::string> message;  // all of these are in it
};

template <typename T>
void Set(TinyModel& model, const char* key, T value) {
  model.metadata["llama." + std::string(key)] = value;
}

const BadModel kBadMetadata[] = {
    {"no architecture",
     [](TinyModel& m) { m.metadata.erase("general.architecture"); },
     ErrorCode::kCorrupt,
     {"general.architecture", "missing"}},
    {"architecture of another type",
     [](TinyModel& m) { m.metadata["general.architecture"] = 3u; },
     ErrorCode::kCorrupt,
     {"general.architecture"}},
    {"unknown architecture",
     [](TinyModel& m) { m.metadata["general.architecture"] = "eliza"; },
     ErrorCode::kUnsupported,
     {"\"eliza\""}},
    {"missing width",
     [](TinyModel& m) { m.metadata.erase("llama.embedding_length"); },
     ErrorCode::kCorrupt,
     {"llama.embedding_length", "missing"}},
    {"width of another type",
     [](TinyModel& m) { Set(m, "embedding_length", "eight"); },
     ErrorCode::kCorrupt,
     {"llama.embedding_length"}},
    {"negative width",
     [](TinyModel& m) { Set(m, "embedding_length", -8); },
     ErrorCode::kCorrupt,
     {"llama.embedding_length", "-8"}},
    {"absurd width",
     [](TinyModel& m) { Set(m, "embedding_length", ~uint64_t{0} / 4); },
     ErrorCode::kCorrupt,
     {"llama.embedding_length", "expected 1 to"}},
    {"no layers",
     [](TinyModel& m) { Set(m, "block_count", 0u); },
     ErrorCode::kCorrupt,
     {"llama.block_count is 0"}},
    {"absurdly many layers",
     [](TinyModel& m) { Set(m, "block_count", 4000000000u); },
     ErrorCode::kCorrupt,
     {"llama.block_count is 4000000000"}},
    {"no heads",
     [](TinyModel& m) { Set(m, "attention.head_count", 0u); },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count is 0"}},
    {"no key/value heads",
     [](TinyModel& m) { Set(m, "attention.head_count_kv", 0u); },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count_kv is 0"}},
    {"heads that do not divide the width",
     [](TinyModel& m) { Set(m, "attention.head_count", 3u); },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count is 3", "width 8"}},
    {"heads that do not share evenly",
     [](TinyModel& m) {
       Set(m, "attention.head_count", 4u);
       Set(m, "attention.head_count_kv", 3u);
     },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count is 4", "head_count_kv", "3"}},
    {"too few heads in the array",
     [](TinyModel& m) {
       Set(m, "block_count", 2u);
       Set(m, "attention.head_count", std::vector<int32_t>{2});
     },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count has 1 values", "2 layers"}},
    {"a bad head count in the array",
     [](TinyModel& m) { Set(m, "attention.head_count", std::vector<int32_t>{-2}); },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count[0] is -2"}},
    {"heads as an array of strings",
     [](TinyModel& m) { Set(m, "attention.head_count", std::vector<std::string>{"2"}); },
     ErrorCode::kCorrupt,
     {"llama.attention.head_count"}},
    {"odd rope",
     [](TinyModel& m) { Set(m, "rope.dimension_count", 3u); },
     ErrorCode::kCorrupt,
     {"llama.rope.dimension_count is 3", "head size 4"}},
    {"rope beyond the head",
     [](TinyModel& m) { Set(m, "rope.dimension_count", 6u); },
     ErrorCode::kCorrupt,
     {"llama.rope.dimension_count is 6"}},
    {"rope base that is no number",
     [](TinyModel& m) { Set(m, "rope.freq_base", std::stof("nan")); },
     ErrorCode::kCorrupt,
     {"llama.rope.freq_base is nan"}},
    {"unknown rope scaling",
     [](TinyModel& m) { Set(m, "rope.scaling.type", "spiral"); },
     ErrorCode::kUnsupported,
     {"llama.rope.scaling.type", "spiral"}},
    {"infinite epsilon",
     [](TinyModel& m) { Set(m, "attention.layer_norm_rms_epsilon", std::stof("inf")); },
     ErrorCode::kCorrupt,
     {"llama.attention.layer_norm_rms_epsilon is inf"}},
    {"missing epsilon",
     [](TinyModel& m) { m.metadata.erase("llama.attention.layer_norm_rms_epsilon"); },
     ErrorCode::kCorrupt,
     {"llama.attention.layer_norm_rms_epsilon", "missing"}},
    {"no vocabulary",
     [](TinyModel& m) { m.metadata.erase("llama.vocab_size"); },
     ErrorCode::kCorrupt,
     {"llama.vocab_size", "missing"}},
    {"tokens that are no list",
     [](TinyModel& m) { m.metadata["tokenizer.ggml.tokens"] = 10u; },
     ErrorCode::kCorrupt,
     {"tokenizer.ggml.tokens"}},
    {"more experts used than there are",
     [](TinyModel& m) {
       Set(m, "expert_count", 2u);
       Set(m, "expert_used_count", 3u);
     },
     ErrorCode::kCorrupt,
     {"llama.expert_used_count is 3"}},
    {"experts that do not fill the groups",
     [](TinyModel& m) {
       Set(m, "expert_count", 4u);
       Set(m, "expert_used_count", 2u);
       Set(m, "expert_group_count", 3u);
     },
     ErrorCode::kCorrupt,
     {"llama.expert_group_count is 3", "4 experts"}},
    {"a router that nobody knows",
     [](TinyModel& m) {
       Set(m, "expert_gating_func", 9u);
       Set(m, "expert_count", 2u);
       Set(m, "expert_used_count", 1u);
     },
     ErrorCode::kCorrupt,
     {"llama.expert_gating_func is 9"}},
};

const BadModel kBadTensors[] = {
    {"missing embeddings",
     [](TinyModel& m) { m.tensors.erase("token_embd.weight"); },
     ErrorCode::kCorrupt,
     {"token_embd.weight is missing", "[8, 10]"}},
    {"missing matrix",
     [](TinyModel& m) { m.tensors.erase("blk.0.attn_k.weight"); },
     ErrorCode::kCorrupt,
     {"blk.0.attn_k.weight is missing", "[8, 4]"}},
    {"missing norm",
     [](TinyModel& m) { m.tensors.erase("blk.0.ffn_norm.weight"); },
     ErrorCode::kCorrupt,
     {"blk.0.ffn_norm.weight is missing", "[8]"}},
    {"missing layer",
     [](TinyModel& m) { Set(m, "block_count", 2u); },
     ErrorCode::kCorrupt,
     {"blk.1.attn_norm.weight is missing"}},
    {"vocabulary of another size",
     [](TinyModel& m) { Set(m, "vocab_size", 11u); },
     ErrorCode::kCorrupt,
     {"token_embd.weight", "[8, 10]", "expected [8, 11]"}},
    {"more tokens than embeddings",
     [](TinyModel& m) { m.metadata["tokenizer.ggml.tokens"] = std::vector<std::string>(12, "a"); },
     ErrorCode::kCorrupt,
     {"token_embd.weight", "[8, 10]", "expected [8, 12]"}},
    {"transposed matrix",
     [](TinyModel& m) {
       m.tensors["blk.0.ffn_down.weight"].dims = {8, 16};
     },
     ErrorCode::kCorrupt,
     {"blk.0.ffn_down.weight", "[8, 16]", "expected [16, 8]"}},
    {"matrix of three axes",
     [](TinyModel& m) {
       m.tensors["blk.0.attn_q.weight"].dims = {8, 8, 2};
     },
     ErrorCode::kCorrupt,
     {"blk.0.attn_q.weight", "[8, 8, 2]", "expected [8, 8]"}},
    {"bias of the wrong width",
     [](TinyModel& m) { m.tensors["blk.0.attn_v.bias"] = {{8}}; },
     ErrorCode::kCorrupt,
     {"blk.0.attn_v.bias", "[8]", "expected [4]"}},
    {"fused matrix of the wrong height",
     [](TinyModel& m) {
       m.tensors["blk.0.attn_qkv.weight"] = {{8, 17}};
     },
     ErrorCode::kCorrupt,
     {"blk.0.attn_qkv.weight", "[8, 17]", "expected [8, 16]"}},
    {"weights that are integers",
     [](TinyModel& m) { m.tensors["blk.0.attn_norm.weight"].type = quant::TensorType::kI32; },
     ErrorCode::kCorrupt,
     {"blk.0.attn_norm.weight", "I32"}},
    {"too few rope factors",
     [](TinyModel& m) { m.tensors["rope_freqs.weight"] = {{1}}; },
     ErrorCode::kCorrupt,
     {"rope_freqs.weight", "[1]", "expected [2]"}},
    {"head norm of no fitting shape",
     [](TinyModel& m) { m.tensors["blk.0.attn_q_norm.weight"] = {{5}}; },
     ErrorCode::kCorrupt,
     {"blk.0.attn_q_norm.weight", "[5]", "expected [4]"}},
};

const BadModel kBadMixtures[] = {
    {"missing router",
     [](TinyModel& m) { m.tensors.erase("blk.0.ffn_gate_inp.weight"); },
     ErrorCode::kCorrupt,
     {"blk.0.ffn_gate_inp.weight is missing"}},
    {"too few experts",
     [](TinyModel& m) {
       m.tensors["blk.0.ffn_up_exps.weight"].dims = {8, 16, 3};
     },
     ErrorCode::kCorrupt,
     {"blk.0.ffn_up_exps.weight", "[8, 16, 3]", "expected [8, 16, 4]"}},
    {"experts of another width",
     [](TinyModel& m) { Set(m, "expert_feed_forward_length", 12u); },
     ErrorCode::kCorrupt,
     {"blk.0.ffn_gate_exps.weight", "expected [8, 12, 4]"}},
    {"expert bias of the wrong shape",
     [](TinyModel& m) { m.tensors["blk.0.ffn_down_exps.bias"] = {{8}}; },
     ErrorCode::kCorrupt,
     {"blk.0.ffn_down_exps.bias", "expected [8, 4]"}},
};

void CheckAll(std::span<const BadModel> cases, TinyModel (*good)()) {
  ASSERT_TRUE(Load(good()).has_value());
  for (const BadModel& bad : cases) {
    TinyModel model = good();
    bad.bend(model);
    const auto plan = Load(model);
    ASSERT_FALSE(plan.has_value()) << bad.what;
    EXPECT_EQ(plan.error().code, bad.code) << bad.what << ": " << plan.error().message;
    for (const std::string& part : bad.message)
      EXPECT_THAT(plan.error().message, HasSubstr(part)) << bad.what;
  }
}

TEST(BadModel, Metadata) { CheckAll(kBadMetadata, TinyModel::Llama); }
TEST(BadModel, Tensors) { CheckAll(kBadTensors, TinyModel::Llama); }
TEST(BadModel, Mixtures) { CheckAll(kBadMixtures, TinyModel::Mixture); }

TEST(BadModel, SupportedArchitecturesAreSortedAndUnique) {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : SupportedArchitectures()) {
    names.push_back(architecture.name);
    EXPECT_FALSE(architecture.family.empty()) << architecture.name;
  }
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_THAT(names, ::testing::Contains("llama"));
}

}  // namespace
}  // namespace puna::model
