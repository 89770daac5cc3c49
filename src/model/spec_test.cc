// What specs make of metadata, where the oracles have no file for it: defaults, per-layer arrays,
// Ollama's own converter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/config.h"
#include "model/rope.h"
#include "tests/support/tiny_model.h"

namespace puna::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TinyModel;

// The tiny llama's metadata under another architecture's name.
TinyModel As(const std::string& architecture, uint32_t layers) {
  const TinyModel llama = TinyModel::Llama();
  TinyModel model;
  for (const auto& [key, value] : llama.metadata) {
    model.metadata[key.starts_with("llama.") ? architecture + key.substr(5) : key] = value;
  }
  model.metadata["general.architecture"] = architecture;
  model.metadata[architecture + ".block_count"] = layers;
  model.tensors = llama.tensors;
  return model;
}

ModelConfig Read(const TinyModel& model) {
  const auto file = model.Open();
  EXPECT_TRUE(file.has_value()) << file.error().message;
  const auto config = ReadConfig(**file);
  EXPECT_TRUE(config.has_value()) << config.error().message;
  return config ? *config : ModelConfig{.layers = std::vector<LayerConfig>(64)};
}

std::vector<int64_t> Windows(const ModelConfig& config) {
  std::vector<int64_t> windows;
  for (const LayerConfig& layer : config.layers) windows.push_back(layer.attention.window);
  return windows;
}

TEST(Spec, Gemma3OfOllamaLeavesOutEpsilonAndRopeBase) {
  TinyModel model = As("gemma3", 34);
  model.metadata.erase("gemma3.attention.layer_norm_rms_epsilon");
  model.metadata["gemma3.attention.sliding_window"] = 16u;
  const ModelConfig config = Read(model);
  EXPECT_DOUBLE_EQ(config.norm_epsilon, 1e-6);
  const RopeConfig &local = config.layers[0].attention.rope,
                   &global = config.layers[5].attention.rope;
  EXPECT_EQ(config.layers[0].attention.window, 16);
  EXPECT_EQ(local.base, 10000);
  EXPECT_EQ(local.factor, 1);
  EXPECT_EQ(config.layers[5].attention.window, 0);
  EXPECT_EQ(global.base, 1e6);
  EXPECT_EQ(global.factor, 8);
}

TEST(Spec, Gemma3OfLlamaCppSaysItAll) {
  TinyModel model = As("gemma3", 34);
  model.metadata["gemma3.attention.sliding_window"] = 16u;
  model.metadata["gemma3.rope.freq_base"] = 500000.0f;
  model.metadata["gemma3.rope.scaling.type"] = "linear";
  model.metadata["gemma3.rope.scaling.factor"] = 4.0f;
  const ModelConfig config = Read(model);
  EXPECT_EQ(config.layers[5].attention.rope.base, 500000);
  EXPECT_EQ(config.layers[5].attention.rope.factor, 4);
  EXPECT_EQ(config.layers[0].attention.rope.base, 10000);
  EXPECT_EQ(config.layers[0].attention.rope.factor, 1);
}

TEST(Spec, GptOssOfOllamaMeansYarnByAFactor) {
  TinyModel model = As("gptoss", 2);
  model.metadata["gptoss.expert_count"] = 4u;
  model.metadata["gptoss.expert_used_count"] = 2u;
  model.metadata["gptoss.rope.scaling.factor"] = 32.0f;
  model.metadata["gptoss.rope.scaling.original_context_length"] = 16u;
  const ModelConfig config = Read(model);
  EXPECT_EQ(config.layers[1].attention.rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(config.layers[1].attention.rope.factor, 32);
  EXPECT_EQ(config.layers[1].attention.rope.original_context, 16);
  EXPECT_THAT(Windows(config), ElementsAre(128, 0));
}

TEST(Spec, ModernBertNamesItsActivation) {
  TinyModel model = As("modern-bert", 2);
  model.metadata["modern-bert.attention.layer_norm_epsilon"] = 1e-5f;
  const auto activation = [&] { return Read(model).layers[1].feed_forward.activation; };
  EXPECT_EQ(activation(), Activation::kGeluTanh);
  model.metadata["modern-bert.hidden_activation"] = "gelu";
  EXPECT_EQ(activation(), Activation::kGeluTanh);
  model.metadata["modern-bert.hidden_activation"] = "silu";
  EXPECT_EQ(activation(), Activation::kSilu);
  model.metadata["modern-bert.hidden_activation"] = "mish";
  const auto file = model.Open();
  const auto config = ReadConfig(**file);
  ASSERT_FALSE(config.has_value());
  EXPECT_THAT(config.error().message, HasSubstr("modern-bert.hidden_activation is 'mish'"));
}

// 10000 * 1000 ^ (16 / 14): what the converter of the text models writes for heads of 16.
TEST(Spec, HunyuanVlRaisesTheRopeBase) {
  TinyModel model = As("hunyuan_vl", 2);
  model.metadata["hunyuan_vl.attention.key_length"] = 16u;
  EXPECT_EQ(Read(model).layers[1].attention.rope.base, 10000);
  model.metadata["hunyuan_vl.rope.scaling.alpha"] = 1000.0f;
  EXPECT_NEAR(Read(model).layers[1].attention.rope.base, 26826957.9528, 1e-3);
}

TEST(Spec, LocalLayersByPeriodOrFlags) {
  TinyModel model = As("gemma2", 4);
  model.metadata["gemma2.attention.sliding_window"] = 16u;
  EXPECT_THAT(Windows(Read(model)), ElementsAre(16, 0, 16, 0));
  model.metadata["gemma2.attention.sliding_window_pattern"] = 3u;
  EXPECT_THAT(Windows(Read(model)), ElementsAre(16, 16, 0, 16));
  model.metadata["gemma2.attention.sliding_window_pattern"] = std::vector<int32_t>{0, 0, 1, 1};
  EXPECT_THAT(Windows(Read(model)), ElementsAre(0, 0, 16, 16));
}

TEST(Spec, SizesPerLayer) {
  TinyModel model = TinyModel::Llama();
  model.metadata["llama.block_count"] = 2u;
  model.metadata["llama.attention.head_count"] = std::vector<int32_t>{2, 4};
  model.metadata["llama.attention.head_count_kv"] = std::vector<int32_t>{1, 2};
  model.metadata["llama.feed_forward_length"] = std::vector<int32_t>{16, 24};
  const ModelConfig config = Read(model);
  EXPECT_EQ(config.layers[1].attention.heads, 4);
  EXPECT_EQ(config.layers[1].attention.kv_heads, 2);
  EXPECT_EQ(config.layers[1].attention.k_size, 4);  // of the first layer's heads
  EXPECT_EQ(config.layers[1].feed_forward.hidden, 24);
}

TEST(Spec, LayersThatPredictFurtherTokensAreLeftOut) {
  TinyModel model = As("glm4moe", 3);
  model.metadata["glm4moe.nextn_predict_layers"] = 1u;
  EXPECT_EQ(Read(model).layers.size(), 2u);
}

TEST(Spec, FirstLayersDense) {
  TinyModel model = As("deepseek", 3);
  model.metadata["deepseek.expert_count"] = 4u;
  model.metadata["deepseek.expert_used_count"] = 2u;
  model.metadata["deepseek.expert_shared_count"] = 2u;
  model.metadata["deepseek.expert_feed_forward_length"] = 12u;
  model.metadata["deepseek.leading_dense_block_count"] = 1u;
  const ModelConfig config = Read(model);
  EXPECT_FALSE(config.layers[0].feed_forward.moe.has_value());
  ASSERT_TRUE(config.layers[1].feed_forward.moe.has_value());
  EXPECT_EQ(config.layers[1].feed_forward.moe->hidden, 12);
  EXPECT_EQ(config.layers[1].feed_forward.moe->shared_hidden, 24);
}

// The same, stretched eightfold by YaRN.
TinyModel Yarn(const std::string& architecture, uint32_t layers) {
  TinyModel model = As(architecture, layers);
  model.metadata[architecture + ".rope.scaling.type"] = "yarn";
  model.metadata[architecture + ".rope.scaling.factor"] = 8.0f;
  model.metadata[architecture + ".rope.scaling.original_context_length"] = 32u;
  return model;
}

float Magnitude(const TinyModel& model, size_t layer = 0) {
  return ComputeRope(Read(model).layers[layer].attention.rope, {}).magnitude;
}

// That of 8, as OLMo 3 has it.
constexpr float kYarnOf8 = 1.2079441541679836f;

TEST(Spec, TheYarnFactorOfAFileIsTheMagnitude) {
  TinyModel model = Yarn("llama", 1);
  EXPECT_FLOAT_EQ(Magnitude(model), kYarnOf8);
  for (const float factor : {kYarnOf8, 1.0f, 1.5f}) {
    model.metadata["llama.rope.scaling.yarn_attn_factor"] = factor;
    EXPECT_FLOAT_EQ(Magnitude(model), factor);
  }
  // What llama.cpp says of a model that it saved.
  model.metadata["llama.rope.scaling.attn_factor"] = 1.0f;
  model.metadata["llama.rope.scaling.yarn_attn_factor"] = 1.0f;
  model.metadata["llama.rope.scaling.yarn_ext_factor"] = -1.0f;
  EXPECT_FLOAT_EQ(Magnitude(model), kYarnOf8);
}

TEST(Spec, OllamasNameOfTheYarnFactor) {
  TinyModel model = Yarn("olmo2", 4);
  model.metadata["olmo2.attention.sliding_window"] = 16u;
  model.metadata["olmo2.rope.scaling.attn_factor"] = kYarnOf8;
  EXPECT_FLOAT_EQ(Magnitude(model, 0), 1);
  EXPECT_FLOAT_EQ(Magnitude(model, 3), kYarnOf8);
}

// Layers with a window turn plainly, whatever stretches the others.
TEST(Spec, WindowsAreNotStretched) {
  for (const std::string architecture :
       {"olmo2", "mellum", "plamo3", "mimo2", "laguna", "step35", "gemma3"}) {
    SCOPED_TRACE(architecture);
    TinyModel model = Yarn(architecture, 2);
    model.metadata[architecture + ".rope.scaling.yarn_attn_factor"] = 1.5f;
    model.metadata[architecture + ".attention.sliding_window"] = 16u;
    model.metadata[architecture + ".attention.sliding_window_pattern"] = std::vector<int32_t>{1, 0};
    const ModelConfig config = Read(model);
    const RopeConfig &local = config.layers[0].attention.rope,
                     &global = config.layers[1].attention.rope;
    EXPECT_THAT(Windows(config), ElementsAre(16, 0));
    EXPECT_EQ(ComputeRope(local, {}).magnitude, 1);
    EXPECT_FLOAT_EQ(ComputeRope(global, {}).magnitude, 1.5f);
    EXPECT_EQ(
        ComputeRope(local, {}).inverse_frequency,
        ComputeRope({.dimensions = local.dimensions, .base = local.base}, {}).inverse_frequency);
  }
}

TEST(Spec, MiniCpmDividesByItsLogitScale) {
  TinyModel model = As("minicpm", 1);
  const double width = static_cast<double>(Read(model).width);
  EXPECT_DOUBLE_EQ(Read(model).logit_scale, 256 / width);
  model.metadata["minicpm.logit_scale"] = 8.0f;
  EXPECT_DOUBLE_EQ(Read(model).logit_scale, 0.125);
}

TEST(Spec, GroksFactorMultiplies) {
  TinyModel model = Yarn("grok", 1);
  model.metadata["grok.rope.scaling.yarn_attn_factor"] = 1.0f;
  EXPECT_FLOAT_EQ(Magnitude(model), kYarnOf8);
  model.metadata["grok.rope.scaling.yarn_attn_factor"] = 1.5f;
  EXPECT_FLOAT_EQ(Magnitude(model), 1.5f * kYarnOf8);
}

TEST(Spec, RopeScalingDefaultsToLinearAndNoneMeansNone) {
  TinyModel model = TinyModel::Llama();
  model.metadata["llama.rope.scaling.factor"] = 2.0f;
  EXPECT_EQ(Read(model).layers[0].attention.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(Read(model).layers[0].attention.rope.factor, 2);
  model.metadata["llama.rope.scaling.type"] = "none";
  EXPECT_EQ(Read(model).layers[0].attention.rope.factor, 1);
}

}  // namespace
}  // namespace puna::model
