// Requests with different adapters in one engine: each gets what it would get alone, also where
// prompts begin alike.
#include "engine/adapter_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "engine/engine_test_support.h"
#include "model/model.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::engine {
namespace {

using ::testing::HasSubstr;

// For two matrices of the tiny llama; `architecture` may be a wrong one.
std::shared_ptr<const gguf::File> MakeAdapter(uint32_t seed, const char* architecture = "llama") {
  gguf::Writer writer;
  writer.Set("general.architecture", architecture);
  writer.Set("general.type", "adapter");
  writer.Set("adapter.type", "lora");
  writer.Set("adapter.lora.alpha", 2.0f);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.3f);
  const auto add = [&](const std::string& name, std::vector<int64_t> dims) {
    std::vector<float> values(static_cast<size_t>(dims[0] * dims[1]));
    for (float& value : values) value = normal(random);
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    writer.AddTensor(name, quant::TensorType::kF32, std::move(dims),
                     [bytes]() -> Result<std::vector<uint8_t>> { return bytes; });
  };
  add("blk.0.attn_output.weight.lora_a", {32, 2});
  add("blk.0.attn_output.weight.lora_b", {2, 32});
  add("blk.1.ffn_down.weight.lora_a", {48, 2});
  add("blk.1.ffn_down.weight.lora_b", {2, 32});
  const testing::TemporaryDirectory folder;
  EXPECT_TRUE(writer.WriteFile(folder.path() / "adapter.gguf").has_value());
  return *gguf::File::Open(folder.path() / "adapter.gguf");
}

class AdapterEngine : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(testing::WriteTinyLlama(folder_.path() / "tiny.gguf"));
    file_ = *gguf::File::Open(folder_.path() / "tiny.gguf");
  }
  std::unique_ptr<Engine> Load(bool prefix_cache) {
    EngineOptions options;
    options.prefix_cache = prefix_cache;
    options.kv_tokens = 2048;
    return *Engine::Load(file_, backend_.get(), options);
  }
  static GenerateRequest Request(std::vector<AdapterReference> adapters) {
    GenerateRequest request;
    for (int i = 0; i < 40; ++i) request.prompt.push_back(3 + i * 7 % 250);
    request.adapters = std::move(adapters);
    request.max_tokens = 20;
    request.sampling.seed = 7;
    request.logprobs = 3;
    request.ignore_end = true;
    return request;
  }

  testing::TemporaryDirectory folder_;
  std::shared_ptr<const gguf::File> file_;
  std::unique_ptr<backend::Backend> backend_ = *backend::CreateBackend({.name = GetParam()});
};

TEST_P(AdapterEngine, EachRequestGetsItsOwnWhateverRunsBesideIt) {
  const auto a = MakeAdapter(1), b = MakeAdapter(2);
  const std::vector<GenerateRequest> requests = {Request({}), Request({{a}}), Request({{b}}),
                                                 Request({{a, 0.5f}}), Request({{a}, {b, -1}})};
  std::vector<Outcome> expected;
  for (const GenerateRequest& request : requests)
    expected.push_back(RunOne(Load(false).get(), request));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(expected[i].tokens.size(), 20u);
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(SameOutput(expected[i], expected[j])) << i << j;
  }
  const std::unique_ptr<Engine> engine = Load(true);
  for (int round = 0; round < 2; ++round) {
    const std::vector<Outcome> outcomes = RunAll(engine.get(), requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(SameOutput(outcomes[i], expected[i])) << i << " in round " << round;
      EXPECT_EQ(outcomes[i].stats->cached_prompt_tokens, round == 0 ? 0 : 39);
    }
  }
  EXPECT_GT(engine->usage().adapter_bytes, 0);
}

TEST_P(AdapterEngine, WhatDoesNotFitIsAnErrorOfTheRequest) {
  const std::unique_ptr<Engine> engine = Load(true);
  const Outcome outcome = RunOne(engine.get(), Request({{MakeAdapter(1, "gemma3")}}));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(outcome.error->message, HasSubstr("gemma3"));
  EXPECT_FALSE(engine->PrepareAdapters({{MakeAdapter(1, "gemma3")}}));
  EXPECT_TRUE(engine->PrepareAdapters({{MakeAdapter(1)}}));
  EXPECT_FALSE(RunOne(engine.get(), Request({{MakeAdapter(1), NAN}})).stats);
  EXPECT_TRUE(RunOne(engine.get(), Request({})).stats);
}

INSTANTIATE_TEST_SUITE_P(Backends, AdapterEngine, ::testing::Values("reference", "cpu"),
                         [](const auto& info) { return std::string(info.param); });

// More adapters and sets than are kept: the keys stay apart, and what was dropped comes back.
TEST(AdapterTable, KeysAreNeverUsedTwice) {
  const testing::TemporaryDirectory folder;
  ASSERT_TRUE(testing::WriteTinyLlama(folder.path() / "tiny.gguf"));
  const auto file = *gguf::File::Open(folder.path() / "tiny.gguf");
  const auto config = *model::ReadConfig(*file);
  AdapterTable table(&config, *model::BuildPlan(config, file, {}));
  EXPECT_EQ(*table.Find({}), nullptr);
  const AdapterReference first{MakeAdapter(0)};
  const auto kept = *table.Find({first});
  EXPECT_EQ(*table.Find({first}), kept);
  EXPECT_NE((*table.Find({{first.file, 0.5f}}))->key, kept->key);
  std::set<uint64_t> keys = {kept->key};
  for (uint32_t i = 1; i < 100; ++i) {
    const auto set = *table.Find({{MakeAdapter(i)}});
    EXPECT_TRUE(keys.insert(set->key).second);
  }
  EXPECT_EQ(table.bytes() % (*table.Find({{MakeAdapter(7)}}))->owners[0]->bytes(), 0);
  EXPECT_LT(table.bytes(), 40 * kept->owners[0]->bytes());
  const auto again = *table.Find({first});
  EXPECT_TRUE(keys.insert(again->key).second);  // its pages are gone or must not be found
  EXPECT_EQ(again->applied.size(), 1u);
  EXPECT_EQ(kept->applied[0].adapter, kept->owners[0].get());  // whoever holds a set can go on
}

}  // namespace
}  // namespace puna::engine
