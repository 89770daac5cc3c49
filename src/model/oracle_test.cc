// Every supported architecture against the recorded outputs of another engine, on each backend and
// cache type. The shared folder holds all of them; tests/data/oracles a few, so that a bare clone
// tests something too.
#include <gtest/gtest.h>

#include <cstdio>

#include "backend/backend.h"
#include "model/config.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"
#include "tests/support/vulkan_device.h"

namespace puna::testing {
namespace {

struct Case {
  const char* backend;
  backend::KvType kv_type;
  double tolerance;  // NMSE
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.backend << ", " << backend::KvTypeName(c.kv_type);
}

constexpr Case kCases[] = {
    {"reference", backend::KvType::kF32, 1e-9},  {"reference", backend::KvType::kF16, 1e-5},
    {"reference", backend::KvType::kQ8_0, 1e-2}, {"cpu", backend::KvType::kF32, 1e-7},
    {"cpu", backend::KvType::kF16, 1e-5},        {"cpu", backend::KvType::kQ8_0, 1e-2},
    {"vulkan", backend::KvType::kF16, 1e-5},
};

class OracleTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam().backend) == "vulkan") {
      PUNA_VULKAN_OR_SKIP(device);
      backend_ = device;
      return;
    }
    own_ = *backend::CreateBackend({.name = GetParam().backend});
    backend_ = own_.get();
  }
  void CheckFolder(const std::filesystem::path& folder, bool embeddings);

  std::unique_ptr<backend::Backend> own_;
  backend::Backend* backend_ = nullptr;
};

void OracleTest::CheckFolder(const std::filesystem::path& folder, bool embeddings) {
  int passed = 0, failed = 0;
  std::string not_attempted;
  for (const Oracle& oracle : LoadOracles(folder)) {
    const Result<LoadedModel> model =
        LoadModel(oracle.gguf, backend_,
                  embeddings || oracle.expected.size() < oracle.tokens.size(), GetParam().kv_type);
    if (!model && model.error().code == ErrorCode::kUnsupported) {
      not_attempted += fmt::format(" {} ({})", oracle.gguf.stem().string(), model.error().message);
      continue;
    }
    if (!model) {
      ADD_FAILURE() << oracle.name << ": " << model.error().message;
      ++failed;
      continue;
    }
    model::PagePool pool = model->NewPool();
    model::PageTable pages(&pool);
    if (model->cached()) Begin(*model, &pages, oracle.tokens);
    const Part part{model->cached() ? &pages : nullptr, oracle.tokens};
    const double nmse = Nmse(RunPass(*model, {&part, 1}), oracle.expected);
    std::printf("  %-40s %.2e\n", oracle.name.c_str(), nmse);
    // A rounded index key may lose its place among the chosen, and another's value comes instead.
    const bool chooses = model->config.layers[0].attention.indexer.has_value();
    const bool coarse = GetParam().kv_type == backend::KvType::kQ8_0;
    const double tolerance = (chooses && coarse ? 10 : 1) * GetParam().tolerance;
    EXPECT_LT(nmse, tolerance) << oracle.name;
    ++(nmse < tolerance ? passed : failed);
  }
  std::printf("  %s, %s: %d passed, %d failed; not attempted:%s\n", GetParam().backend,
              std::string(backend::KvTypeName(GetParam().kv_type)).c_str(), passed, failed,
              not_attempted.empty() ? " none" : not_attempted.c_str());
}

TEST_P(OracleTest, Bundled) { CheckFolder(SourcePath("tests/data/oracles"), false); }

TEST_P(OracleTest, Architectures) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  CheckFolder(folder, false);
}

TEST_P(OracleTest, Variants) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/variants");
  CheckFolder(folder, false);
}

TEST_P(OracleTest, Embeddings) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/embedding");
  CheckFolder(folder, true);
}

INSTANTIATE_TEST_SUITE_P(Backends, OracleTest, ::testing::ValuesIn(kCases), [](const auto& info) {
  return std::string(info.param.backend) + "_" +
         std::string(backend::KvTypeName(info.param.kv_type));
});

}  // namespace
}  // namespace puna::testing
