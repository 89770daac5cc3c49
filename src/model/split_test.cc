// The layers of a network divided between a device and the CPU give what the network as a whole
// gives, wherever the border is: against the same recorded outputs as oracle_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "backend/backend.h"
#include "backend/experts_split.h"
#include "backend/plan_split.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"
#include "tests/support/sharing_backend.h"
#include "tests/support/vulkan_device.h"

namespace puna::testing {
namespace {

using backend::Backend;

double NmseOf(const Oracle& oracle, const LoadedModel& model) {
  model::PagePool pool = model.NewPool();
  model::PageTable pages(&pool);
  // In two passes, so that pages and states are gone back to on both sides.
  const bool whole = !model.cached() || model::SeesAhead(model.config);
  const size_t first = whole ? 0 : oracle.tokens.size() / 2;
  std::vector<float> outputs;
  for (const auto& [begin, end] : {std::pair(size_t{0}, first), {first, oracle.tokens.size()}}) {
    if (begin == end) continue;
    const Part part{model.cached() ? &pages : nullptr,
                    std::span(oracle.tokens).subspan(begin, end - begin)};
    const std::vector<float> some = RunPass(model, {&part, 1});
    outputs.insert(outputs.end(), some.begin(), some.end());
  }
  return Nmse(outputs, oracle.expected);
}

// Every border of every network of a folder, also that between the embeddings and the layers.
// `least`: so many networks have one.
void CheckFolder(const std::filesystem::path& folder, const std::vector<Backend*>& devices,
                 backend::KvType kv_type, double tolerance, int least) {
  SharingBackend sharing(devices);
  int networks = 0, borders = 0;
  std::string whole;
  for (const Oracle& oracle : LoadOracles(folder)) {
    int cut = 0;
    int64_t all = 2;
    for (sharing.layers = 1; sharing.layers <= all; ++sharing.layers) {
      sharing.short_of_a_byte = sharing.layers == all;
      const bool embeddings = oracle.expected.size() < oracle.tokens.size();
      const Result<LoadedModel> model = LoadModel(oracle.gguf, &sharing, embeddings, kv_type);
      ASSERT_TRUE(model.has_value()) << oracle.name << ": " << model.error().message;
      all = backend::CountLayers(*model->plan);
      const backend::MemoryUse use = model->program->memory_use();
      if (use.on_device.layers != sharing.layers || use.on_device.fixed() == use.fixed()) continue;
      ++cut;
      EXPECT_LT(NmseOf(oracle, *model), tolerance)
          << oracle.name << ", " << sharing.layers << " of " << all << " layers on the device";
    }
    borders += cut;
    networks += cut > 0 ? 1 : 0;
    if (cut == 0) whole += " " + oracle.name;
  }
  std::printf("  %d borders of %d networks; not cut:%s\n", borders, networks, whole.c_str());
  EXPECT_GE(networks, least);
}

// Every mixture of experts of a folder, with all of its experts on the CPU and all else that
// belongs to its layers on the device. `least`: so many networks are mixtures.
void CheckExperts(const std::filesystem::path& folder, Backend* device, backend::KvType kv_type,
                  double tolerance, int least) {
  SharingBackend sharing({device});
  sharing.layers = -1;
  sharing.short_of_experts = true;
  int networks = 0;
  for (const Oracle& oracle : LoadOracles(folder)) {
    const bool embeddings = oracle.expected.size() < oracle.tokens.size();
    const Result<LoadedModel> model = LoadModel(oracle.gguf, &sharing, embeddings, kv_type);
    ASSERT_TRUE(model.has_value()) << oracle.name << ": " << model.error().message;
    const int64_t mixtures = backend::CountExperts(*model->plan);
    if (mixtures == 0) continue;
    ++networks;
    const std::string where = model->program->Describe();
    EXPECT_NE(where.find(fmt::format("(experts of {} on the CPU)", mixtures)), std::string::npos)
        << oracle.name << ": " << where;
    EXPECT_EQ(model->program->memory_use().on_device.layers, backend::CountLayers(*model->plan))
        << oracle.name;
    EXPECT_LT(NmseOf(oracle, *model), tolerance) << oracle.name;
  }
  std::printf("  %d mixtures of experts\n", networks);
  EXPECT_GE(networks, least);
}

TEST(Split, ExpertsOfArchitectures) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  const auto reference = *backend::CreateBackend({.name = "reference"});
  CheckExperts(folder, reference.get(), backend::KvType::kF32, 1e-7, 40);
}

TEST(Split, ExpertsBesideVulkan) {
  PUNA_VULKAN_OR_SKIP(device);
  CheckExperts(SourcePath("tests/data/oracles"), device, backend::KvType::kF16, 1e-5, 2);
}

TEST(Split, ExpertsOfArchitecturesBesideVulkan) {
  PUNA_VULKAN_OR_SKIP(device);
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  CheckExperts(folder, device, backend::KvType::kF16, 1e-5, 40);
}

TEST(Split, BundledNetworks) {
  const auto reference = *backend::CreateBackend({.name = "reference"});
  CheckFolder(SourcePath("tests/data/oracles"), {reference.get()}, backend::KvType::kF32, 1e-7, 8);
}

TEST(Split, Architectures) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  const auto reference = *backend::CreateBackend({.name = "reference"});
  CheckFolder(folder, {reference.get()}, backend::KvType::kF32, 1e-7, 100);
}

TEST(Split, Vulkan) {
  PUNA_VULKAN_OR_SKIP(device);
  CheckFolder(SourcePath("tests/data/oracles"), {device}, backend::KvType::kF16, 1e-5, 8);
}

TEST(Split, TwoDevices) {
  PUNA_VULKAN_OR_SKIP(device);
  const auto reference = *backend::CreateBackend({.name = "reference"});
  CheckFolder(SourcePath("tests/data/oracles"), {device, reference.get()}, backend::KvType::kF16,
              1e-5, 8);
}

}  // namespace
}  // namespace puna::testing
