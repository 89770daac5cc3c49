// A real trained model: the top logits and the greedy continuation that an independent float64
// program computed.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/backend.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"

namespace puna::testing {
namespace {

TEST(Golden, TinyStoriesTopLogitsAndGreedyIds) {
  PUNA_SHARED_OR_SKIP(folder, "data/models/tinystories-656K");
  const auto backend = *backend::CreateBackend({.name = "reference"});
  const auto model =
      LoadModel(folder / "TinyStories-656K-Q8_0.gguf", backend.get(), false, backend::KvType::kF32);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  std::ifstream in(folder / "golden.json");
  const nlohmann::json file = nlohmann::json::parse(in);
  ASSERT_FALSE(file.at("cases").empty());
  for (const nlohmann::json& golden : file.at("cases")) {
    model::PagePool pool(64);
    model::PageTable pages(&pool);
    std::vector<int32_t> tokens = golden.at("prompt_ids");
    const std::vector<int32_t> expected_ids = golden.at("greedy_ids");
    std::vector<int32_t> ids;
    while (ids.size() < expected_ids.size()) {
      const Part part{&pages, tokens};
      const std::vector<float> rows = RunPass(*model, {&part, 1});
      const std::span<const float> logits =
          std::span(rows).last(static_cast<size_t>(model->config.vocabulary));
      if (ids.empty()) {
        for (const auto& top : golden.at("logits_after_prompt_top5")) {
          const double wanted = top.at(1);
          EXPECT_NEAR(logits[top.at(0).get<size_t>()], wanted, 1e-5 * std::abs(wanted))
              << golden.at("prompt");
        }
      }
      ids.push_back(
          static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      tokens = {ids.back()};
    }
    EXPECT_EQ(ids, expected_ids) << golden.at("prompt");
  }
}

}  // namespace
}  // namespace puna::testing
