// Adapters against the slow twin: the same network with scale * B * A added to its weights before
// it is loaded.
#include "model/lora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <set>

#include "tests/support/editable_model.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"
#include "tests/support/sharing_backend.h"
#include "tests/support/vulkan_device.h"

namespace puna::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kAlpha = 4;

// The pairs of an adapter by the name of the tensor that they change.
struct AdapterFile {
  std::string architecture;
  Tensors tensors;  // NAME.lora_a, NAME.lora_b
  std::map<std::string, std::string> strings = {{"general.type", "adapter"},
                                                {"adapter.type", "lora"}};

  Result<std::shared_ptr<const gguf::File>> Open() const {
    gguf::Writer writer;
    if (!architecture.empty()) writer.Set("general.architecture", architecture);
    for (const auto& [key, value] : strings) writer.Set(key, value);
    writer.Set("adapter.lora.alpha", static_cast<float>(kAlpha));
    AddTensors(tensors, &writer);
    const TemporaryDirectory folder;
    PUNA_RETURN_IF_ERROR(writer.WriteFile(folder.path() / "adapter.gguf"));
    return gguf::File::Open(folder.path() / "adapter.gguf");
  }
};

float Random(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u;
  return static_cast<float>(static_cast<int32_t>(*state)) * 0x1p-31f;
}

Values RandomValues(std::vector<int64_t> dims, float scale, uint32_t* state) {
  Values values{.dims = std::move(dims), .data = {}};
  int64_t count = 1;
  for (const int64_t dim : values.dims) count *= dim;
  for (int64_t i = 0; i < count; ++i) values.data.push_back(scale * Random(state));
  return values;
}

// Changes every tensor of the plan that can be changed, at ranks 1 to 3.
AdapterFile MakeAdapter(const LoadedModel& model, const Tensors& tensors, uint32_t seed) {
  AdapterFile file{.architecture = model.config.architecture, .tensors = {}};
  const std::vector<bool> changeable = backend::ChangeableWeights(*model.plan);
  std::set<std::string> names;
  for (size_t id = 0; id < changeable.size(); ++id) {
    if (changeable[id]) names.insert(model.plan->weights[id].name);
  }
  int64_t rank = 0;
  for (const std::string& name : names) {
    std::vector<int64_t> dims = tensors.at(name).dims;
    // RWKV's token shift is a stack that is read in slices; the shape of an adapter for such a
    // slice is not defined.
    if (dims.size() > 2 && name.find("time_mix_w2") != std::string::npos) continue;
    rank = rank % 3 + 1;
    std::vector<int64_t> a = {dims[0], rank}, b = {rank, dims.size() > 1 ? dims[1] : 1};
    if (name == "token_embd.weight") {
      a = {rank, dims[1]};
      b = {rank, dims[0]};
    }
    if (dims.size() > 2) {
      a.push_back(dims[2]);
      b.push_back(dims[2]);
    }
    file.tensors[name + ".lora_a"] = RandomValues(a, 0.2f, &seed);
    file.tensors[name + ".lora_b"] = RandomValues(b, 0.2f, &seed);
  }
  return file;
}

// tensors += scale * alpha / rank * B * A
void Merge(const AdapterFile& adapter, double scale, Tensors* tensors) {
  for (const auto& [pair_name, a] : adapter.tensors) {
    if (!pair_name.ends_with(".lora_a")) continue;
    const std::string name = pair_name.substr(0, pair_name.size() - 7);
    const Values& b = adapter.tensors.at(name + ".lora_b");
    Values& w = tensors->at(name);
    const auto rank = static_cast<size_t>(b.dims[0]), cols = static_cast<size_t>(w.dims[0]);
    const size_t rows = w.dims.size() > 1 ? static_cast<size_t>(w.dims[1]) : 1;
    const bool turned = name == "token_embd.weight";
    for (size_t i = 0; i < w.data.size(); ++i) {
      const size_t expert = i / (rows * cols), row = i / cols % rows, col = i % cols;
      double sum = 0;
      for (size_t r = 0; r < rank; ++r) {
        sum += turned ? static_cast<double>(a.data[row * rank + r]) * b.data[col * rank + r]
                      : static_cast<double>(b.data[(expert * rows + row) * rank + r]) *
                            a.data[(expert * rank + r) * cols + col];
      }
      w.data[i] = static_cast<float>(w.data[i] + scale * kAlpha / static_cast<double>(rank) * sum);
    }
  }
}

struct Model {
  std::shared_ptr<const gguf::File> file;
  LoadedModel loaded;
  std::unique_ptr<model::PagePool> pool = std::make_unique<model::PagePool>(64);
};

// `oracle`'s file with these tensors.
Model Load(const Oracle& oracle, const Tensors& tensors, backend::Backend* backend) {
  Model model;
  model.file = *gguf::File::Open(oracle.gguf);
  gguf::Writer writer;
  CopyMetadata(*model.file, "", &writer);
  AddTensors(tensors, &writer);
  const TemporaryDirectory folder;
  EXPECT_TRUE(writer.WriteFile(folder.path() / "model.gguf").has_value());
  const bool embeddings = oracle.expected.size() < oracle.tokens.size();
  model.loaded =
      *LoadModel(folder.path() / "model.gguf", backend, embeddings, backend::KvType::kF32);
  return model;
}

using AdapterSet = std::vector<backend::AppliedAdapter>;

// Outputs of the tokens once per set, all in one batch.
std::vector<std::vector<float>> RunSets(const Model& model, std::span<const int32_t> tokens,
                                        const std::vector<AdapterSet>& sets) {
  std::vector<Part> parts;
  std::list<model::PageTable> pages;
  for (const AdapterSet& set : sets) {
    pages.emplace_back(model.pool.get());
    const bool cached = !model.loaded.plan->cache_layers.empty();
    if (cached) Begin(model.loaded, &pages.back(), tokens, set);
    parts.push_back({cached ? &pages.back() : nullptr, tokens, set});
  }
  const std::vector<float> all = RunPass(model.loaded, parts);
  std::vector<std::vector<float>> out;
  const size_t each = all.size() / sets.size();
  for (size_t i = 0; i < sets.size(); ++i) {
    out.emplace_back(all.begin() + static_cast<ptrdiff_t>(i * each),
                     all.begin() + static_cast<ptrdiff_t>((i + 1) * each));
  }
  return out;
}

// The last row of part `wanted` alone, in a batch of all sets.
std::vector<float> LastRow(const Model& model, std::span<const int32_t> tokens,
                           const std::vector<AdapterSet>& sets, size_t wanted) {
  std::vector<int32_t> all;
  std::vector<backend::Segment> segments;
  std::list<model::PageTable> pages;
  const auto count = static_cast<int64_t>(tokens.size());
  for (const AdapterSet& set : sets) {
    pages.emplace_back(model.pool.get());
    const int64_t begin = Begin(model.loaded, &pages.back(), tokens, set);
    EXPECT_TRUE(pages.back().Grow(count, model.loaded.program.get()).has_value());
    segments.push_back({.first_row = static_cast<int64_t>(all.size()),
                        .tokens = count,
                        .start_position = begin,
                        .pages = pages.back().pages(),
                        .adapters = set,
                        .encoded = pages.back().encoded()});
    all.insert(all.end(), tokens.begin(), tokens.end());
  }
  const std::vector<int32_t> rows = {static_cast<int32_t>((wanted + 1) * tokens.size()) - 1};
  std::vector<float> out(static_cast<size_t>(model.loaded.plan->output.width));
  model.loaded.program->Run({.tokens = all, .segments = segments, .output_rows = rows}, out);
  return out;
}

class AdapterOracles : public ::testing::TestWithParam<const char*> {
 protected:
  void CheckMixedBatch(const Oracle& oracle);

  void SetUp() override {
    if (std::string_view(GetParam()) == "vulkan") {
      PUNA_VULKAN_OR_SKIP(device);
      backend_ = device;
      return;
    }
    if (std::string_view(GetParam()) == "shared") {
      auto shared = std::make_unique<SharingBackend>(std::vector{reference_.get()});
      shared->layers = 1;
      own_ = std::move(shared);
    } else if (std::string_view(GetParam()) == "apart") {
      auto apart = std::make_unique<SharingBackend>(std::vector{reference_.get()});
      apart->layers = -1;
      apart->short_of_experts = true;
      own_ = std::move(apart);
    } else {
      own_ = *backend::CreateBackend({.name = GetParam()});
    }
    backend_ = own_.get();
  }

  std::unique_ptr<backend::Backend> reference_ = *backend::CreateBackend({.name = "reference"});
  std::unique_ptr<backend::Backend> own_;
  backend::Backend* backend_ = nullptr;
  const double tolerance_ = std::string_view(GetParam()) == "reference" ? 1e-9 : 1e-7;
};

// One batch with the base, one adapter, another at half strength, and both: each row of it as the
// merged network alone computes it.
void AdapterOracles::CheckMixedBatch(const Oracle& oracle) {
  SCOPED_TRACE(oracle.name);
  const auto file = *gguf::File::Open(oracle.gguf);
  const Tensors tensors = ReadTensors(*file);
  if (const auto config = model::ReadConfig(*file);
      !config && config.error().code == ErrorCode::kUnsupported) {
    return;
  }
  const Model model = Load(oracle, tensors, backend_);
  const AdapterFile first = MakeAdapter(model.loaded, tensors, 1),
                    second = MakeAdapter(model.loaded, tensors, 2);
  const auto bind = [&](const AdapterFile& file) {
    return model::BindAdapter(**file.Open(), model.loaded.config, *model.loaded.plan);
  };
  const auto a = bind(first), b = bind(second);
  ASSERT_TRUE(a.has_value()) << a.error().message;
  ASSERT_TRUE(b.has_value()) << b.error().message;
  const std::vector<AdapterSet> sets = {
      {}, {{a->get(), 1}}, {{b->get(), 0.5f}}, {{a->get(), 1}, {b->get(), 0.5f}}};
  const auto outputs = RunSets(model, oracle.tokens, sets);

  const double scales[4][2] = {{0, 0}, {1, 0}, {0, 0.5}, {1, 0.5}};
  double worst = 0;
  for (size_t i = 0; i < sets.size(); ++i) {
    Tensors merged = tensors;
    Merge(first, scales[i][0], &merged);
    Merge(second, scales[i][1], &merged);
    const Model slow = Load(oracle, merged, reference_.get());
    const auto expected = RunSets(slow, oracle.tokens, {{}});
    worst = std::max(worst, Nmse(outputs[i], expected[0]));
    EXPECT_LT(worst, tolerance_) << "set " << i;
    if (i > 0) {
      EXPECT_GT(Nmse(outputs[i], outputs[0]), 1e-4) << "set " << i;
    }
    if (!model.loaded.plan->pooled) {
      const size_t width = static_cast<size_t>(model.loaded.plan->output.width);
      EXPECT_LT(Nmse(LastRow(model, oracle.tokens, sets, i), std::span(outputs[i]).last(width)),
                1e-12);
    }
    const auto alone = RunSets(model, oracle.tokens, {sets[i]});
    EXPECT_LT(Nmse(outputs[i], alone[0]), 1e-12) << "set " << i;
  }
  std::printf("  %-40s %.2e, %zu tensors\n", oracle.name.c_str(), worst, first.tensors.size() / 2);
}

TEST_P(AdapterOracles, AMixedBatchIsWhatMergedNetworksCompute) {
  for (const Oracle& oracle : LoadOracles(SourcePath("tests/data/oracles")))
    CheckMixedBatch(oracle);
}

// Among what is changed are the matrices per head that latent attention absorbs.
TEST_P(AdapterOracles, OfLatentAttention) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  int checked = 0;
  for (const Oracle& oracle : LoadOracles(folder)) {
    if (oracle.name != "arch/deepseek2-moe" && oracle.name != "arch/minicpm3-dense") continue;
    CheckMixedBatch(oracle);
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

// What is changed counts in every pass.
TEST_P(AdapterOracles, OfLayersThatRunTwice) {
  const TemporaryDirectory folder;
  for (Oracle& oracle : LoadOracles(SourcePath("tests/data/oracles"))) {
    if (oracle.name != "oracles/llama-dense-ropefreqs") continue;
    const auto file = *gguf::File::Open(oracle.gguf);
    const Tensors tensors = ReadTensors(*file);
    gguf::Writer writer;
    CopyMetadata(*file, "nanbeige", &writer);
    writer.Set("nanbeige.num_loops", 2u);
    AddTensors(tensors, &writer);
    oracle.gguf = folder.path() / "twice.gguf";
    ASSERT_TRUE(writer.WriteFile(oracle.gguf).has_value());
    CheckMixedBatch(oracle);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AdapterOracles,
                         ::testing::Values("reference", "cpu", "vulkan", "shared", "apart"),
                         [](const auto& info) { return std::string(info.param); });

class BadAdapter : public ::testing::Test {
 protected:
  BadAdapter() {
    for (Oracle& oracle : LoadOracles(SourcePath("tests/data/oracles"))) {
      if (oracle.name == "oracles/llama-moe") oracle_ = std::move(oracle);
    }
    const auto backend = *backend::CreateBackend({.name = "reference"});
    tensors_ = ReadTensors(**gguf::File::Open(oracle_.gguf));
    model_ = Load(oracle_, tensors_, backend.get());
    adapter_ = MakeAdapter(model_.loaded, tensors_, 1);
  }
  std::string Message() {
    const auto file = adapter_.Open();
    if (!file) return "file: " + file.error().message;
    const auto bound = model::BindAdapter(**file, model_.loaded.config, *model_.loaded.plan);
    return bound ? "no error" : bound.error().message;
  }
  Oracle oracle_;
  Tensors tensors_;
  Model model_;
  AdapterFile adapter_;
};

constexpr const char* kQ = "blk.0.attn_q.weight";

TEST_F(BadAdapter, OfAnotherArchitecture) {
  adapter_.architecture = "gemma3";
  EXPECT_THAT(Message(), AllOf(HasSubstr("\"gemma3\""), HasSubstr("\"llama\"")));
  adapter_.architecture = "eliza";
  EXPECT_THAT(Message(), HasSubstr("\"eliza\""));
}

TEST_F(BadAdapter, OfAnotherKind) {
  adapter_.strings["general.type"] = "model";
  EXPECT_THAT(Message(), AllOf(HasSubstr("general.type"), HasSubstr("\"model\"")));
  adapter_.strings = {{"general.type", "adapter"}, {"adapter.type", "control_vector"}};
  EXPECT_THAT(Message(), AllOf(HasSubstr("adapter.type"), HasSubstr("\"control_vector\"")));
}

TEST_F(BadAdapter, ForATensorThatIsNotThere) {
  Rename(&adapter_.tensors, std::string(kQ) + ".lora_a", "blk.9.attn_q.weight.lora_a");
  EXPECT_THAT(Message(), HasSubstr("blk.0.attn_q.weight.lora_a of the adapter is missing"));
  Rename(&adapter_.tensors, std::string(kQ) + ".lora_b", "blk.9.attn_q.weight.lora_b");
  EXPECT_THAT(Message(), HasSubstr("blk.9.attn_q.weight, which the model does not have"));
}

TEST_F(BadAdapter, ForATensorThatIsNoProduct) {
  adapter_.tensors.clear();
  uint32_t seed = 1;
  adapter_.tensors["blk.0.attn_norm.weight.lora_a"] = RandomValues({64, 2}, 1, &seed);
  adapter_.tensors["blk.0.attn_norm.weight.lora_b"] = RandomValues({2, 1}, 1, &seed);
  EXPECT_THAT(Message(), HasSubstr("blk.0.attn_norm.weight, which is no matrix product"));
}

TEST_F(BadAdapter, WithWrongShapes) {
  const AdapterFile good = adapter_;
  const auto dims = [&](const std::string& name) -> std::vector<int64_t>& {
    return adapter_.tensors.at(name).dims;
  };
  const auto resize = [&](const std::string& name, std::vector<int64_t> to) {
    uint32_t seed = 1;
    adapter_.tensors.at(name) = RandomValues(std::move(to), 1, &seed);
  };
  const std::string a = std::string(kQ) + ".lora_a", b = std::string(kQ) + ".lora_b";
  const int64_t in = dims(a)[0], rank = dims(a)[1], out = dims(b)[1];
  resize(a, {in + 1, rank});
  EXPECT_THAT(Message(),
              HasSubstr(fmt::format("{} of the adapter has shape [{}, {}], expected [{}, {}]", a,
                                    in + 1, rank, in, rank)));
  adapter_ = good;
  resize(b, {rank, out + 3});
  EXPECT_THAT(Message(),
              HasSubstr(fmt::format("{} of the adapter has shape [{}, {}], expected [{}, {}]", b,
                                    rank, out + 3, rank, out)));
  adapter_ = good;
  resize(a, {in, rank + 2});
  EXPECT_THAT(Message(), HasSubstr(fmt::format("{} of the adapter has rank {}, but {} has rank {}",
                                               a, rank + 2, b, rank)));
  adapter_ = good;
  const std::string experts = "blk.0.ffn_up_exps.weight.lora_a";
  const std::vector<int64_t> of_experts = dims(experts);
  resize(experts, {of_experts[0], of_experts[1], of_experts[2] + 1});
  EXPECT_THAT(Message(), AllOf(HasSubstr(experts), HasSubstr("expected")));
}

TEST_F(BadAdapter, WithStrangeTensors) {
  uint32_t seed = 1;
  adapter_.tensors["blk.0.attn_q.bias"] = RandomValues({4}, 1, &seed);
  EXPECT_THAT(Message(), HasSubstr("blk.0.attn_q.bias of the adapter ends in neither"));
  adapter_.tensors.clear();
  EXPECT_THAT(Message(), HasSubstr("changes no tensor"));
}

}  // namespace
}  // namespace puna::testing
