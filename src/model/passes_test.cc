// Layers that run more than once over the same tensors (Nanbeige 4.2), against networks that are
// the same without that.
#include <gtest/gtest.h>

#include "backend/backend.h"
#include "backend/plan_split.h"
#include "tests/support/editable_model.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"
#include "tests/support/sharing_backend.h"
#include "tests/support/vulkan_device.h"

namespace puna::testing {
namespace {

struct Network {
  Tensors tensors;
  uint32_t layers = 0, passes = 1;
  bool skips_norm = false;
};

class PassesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (Oracle& oracle : LoadOracles(SourcePath("tests/data/oracles"))) {
      if (oracle.name == "oracles/llama-dense-ropefreqs") oracle_ = std::move(oracle);
    }
    file_ = *gguf::File::Open(oracle_.gguf);
    once_.tensors = ReadTensors(*file_);
    once_.layers = static_cast<uint32_t>(model::ReadConfig(*file_)->layers.size());
  }

  Result<LoadedModel> Load(const Network& network, backend::Backend* backend,
                           bool embeddings = false) const {
    gguf::Writer writer;
    for (const gguf::KeyValue& entry : file_->metadata()) {
      std::string key(entry.key);
      if (key == "general.architecture" || key == "llama.block_count") continue;
      if (key.starts_with("llama.")) key.replace(0, 5, "nanbeige");
      writer.SetFrom(key, entry.value);
    }
    writer.Set("general.architecture", "nanbeige");
    writer.Set("nanbeige.block_count", network.layers);
    writer.Set("nanbeige.num_loops", network.passes);
    writer.Set("nanbeige.skip_loop_final_norm", network.skips_norm);
    AddTensors(network.tensors, &writer);
    const TemporaryDirectory folder;
    PUNA_RETURN_IF_ERROR(writer.WriteFile(folder.path() / "model.gguf"));
    return LoadModel(folder.path() / "model.gguf", backend, embeddings, backend::KvType::kF32);
  }

  // In two parts, so that the second one reads what the first one left in the cache.
  static std::vector<float> Outputs(const LoadedModel& model, std::span<const int32_t> tokens) {
    model::PagePool pool = model.NewPool();
    model::PageTable pages(&pool);
    const size_t half = tokens.size() / 2;
    std::vector<float> out;
    for (const std::span<const int32_t> part : {tokens.first(half), tokens.subspan(half)}) {
      const Part one{model.cached() ? &pages : nullptr, part};
      const std::vector<float> some = RunPass(model, {&one, 1});
      out.insert(out.end(), some.begin(), some.end());
    }
    return out;
  }

  // All layers once more, as layers of their own.
  Network Unrolled() const {
    Network out = once_;
    for (const auto& [name, values] : once_.tensors) {
      if (!name.starts_with("blk.")) continue;
      const size_t dot = name.find('.', 4);
      const auto layer = static_cast<uint32_t>(std::stoi(name.substr(4, dot - 4)));
      out.tensors[fmt::format("blk.{}{}", layer + once_.layers, name.substr(dot))] = values;
    }
    out.layers *= 2;
    return out;
  }
  Network Twice(bool skips_norm) const {
    Network out = once_;
    out.passes = 2;
    out.skips_norm = skips_norm;
    return out;
  }

  Oracle oracle_;
  std::shared_ptr<const gguf::File> file_;
  Network once_;
  std::unique_ptr<backend::Backend> reference_ = *backend::CreateBackend({.name = "reference"});
  std::unique_ptr<backend::Backend> cpu_ = *backend::CreateBackend({.name = "cpu"});
};

TEST_F(PassesTest, AreSoManyLayersMore) {
  const std::vector<float> expected =
      Outputs(Load(Unrolled(), reference_.get()).value(), oracle_.tokens);
  const LoadedModel twice = Load(Twice(true), reference_.get()).value();
  EXPECT_EQ(twice.plan->cache_layers.size(), 2 * once_.layers);
  EXPECT_EQ(Outputs(twice, oracle_.tokens), expected);
  EXPECT_GT(Nmse(Outputs(Load(once_, reference_.get()).value(), oracle_.tokens), expected), 1e-3);
}

// A second pass reads the normed outputs of the first one as another network reads embeddings.
TEST_F(PassesTest, HaveTheOutputNormBetweenThem) {
  const LoadedModel hidden = Load(once_, reference_.get(), /*embeddings=*/true).value();
  const Part whole{nullptr, oracle_.tokens};
  const std::vector<float> rows = RunPass(hidden, {&whole, 1});
  Network second = once_;
  Values& table = second.tensors.at("token_embd.weight");
  second.tensors.try_emplace("output.weight", table);
  ASSERT_LE(rows.size(), table.data.size());
  std::copy(rows.begin(), rows.end(), table.data.begin());
  std::vector<int32_t> numbers(oracle_.tokens.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  EXPECT_LT(Nmse(Outputs(Load(Twice(false), reference_.get()).value(), oracle_.tokens),
                 Outputs(Load(second, reference_.get()).value(), numbers)),
            1e-12);
}

TEST_F(PassesTest, ReadTheSameWeights) {
  const LoadedModel once = Load(once_, cpu_.get()).value(),
                    twice = Load(Twice(false), cpu_.get()).value();
  EXPECT_EQ(twice.program->memory_use().weights, once.program->memory_use().weights);
  EXPECT_LT(Nmse(Outputs(twice, oracle_.tokens),
                 Outputs(Load(Twice(false), reference_.get()).value(), oracle_.tokens)),
            1e-7);
}

TEST_F(PassesTest, MayBeDividedAnywhere) {
  SharingBackend sharing({reference_.get()});
  const std::vector<float> expected =
      Outputs(Load(Twice(false), reference_.get()).value(), oracle_.tokens);
  for (sharing.layers = 1; sharing.layers <= 2 * once_.layers; ++sharing.layers) {
    const LoadedModel shared = Load(Twice(false), &sharing).value();
    EXPECT_EQ(shared.program->memory_use().on_device.layers, sharing.layers);
    EXPECT_LT(Nmse(Outputs(shared, oracle_.tokens), expected), 1e-7) << sharing.layers;
  }
}

TEST_F(PassesTest, OnVulkan) {
  PUNA_VULKAN_OR_SKIP(device);
  EXPECT_LT(Nmse(Outputs(Load(Twice(false), device).value(), oracle_.tokens),
                 Outputs(Load(Twice(false), reference_.get()).value(), oracle_.tokens)),
            1e-5);
}

TEST_F(PassesTest, AreNotWithoutEnd) {
  Network endless = once_;
  endless.passes = 4097;
  const auto model = Load(endless, reference_.get());
  ASSERT_FALSE(model.has_value());
  EXPECT_NE(model.error().message.find("nanbeige.num_loops"), std::string::npos)
      << model.error().message;
}

}  // namespace
}  // namespace puna::testing
