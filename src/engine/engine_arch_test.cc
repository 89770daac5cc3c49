// Networks of every kind for many users at once: whoever mixes up pages, states or windows of
// sequences gives somebody another answer.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_test_support.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"

namespace puna::engine {
namespace {

GenerateRequest RequestFor(int64_t vocabulary, size_t length, uint32_t seed, int64_t max_tokens) {
  GenerateRequest request;
  std::mt19937 random(seed);
  for (size_t i = 0; i < length; ++i)
    request.prompt.push_back(static_cast<TokenId>(random() % static_cast<uint64_t>(vocabulary)));
  request.sampling.seed = seed;
  request.sampling.temperature = seed % 2 == 0 ? 0 : 0.8F;
  request.max_tokens = max_tokens;
  request.logprobs = 2;
  request.ignore_end = true;
  return request;
}

// Eight, of which three begin alike and one repeats itself, so that guesses are verified.
std::vector<GenerateRequest> EightRequests(int64_t vocabulary) {
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 5; ++i)
    requests.push_back(RequestFor(vocabulary, 3 + 11 * i, 10 + i, 16 + 3 * i));
  for (uint32_t i = 0; i < 3; ++i) {
    requests.push_back(RequestFor(vocabulary, 40, 1, 20));
    requests.back().prompt.resize(30 + i);
    requests.back().sampling.seed = i;
  }
  for (size_t i = 0; i < requests[3].prompt.size(); ++i) requests[3].prompt[i] = 3 + i % 4;
  return requests;
}

std::unique_ptr<Engine> EngineFor(const testing::Oracle& oracle, backend::Backend* backend,
                                  const EngineOptions& options) {
  const auto file = gguf::File::Open(oracle.gguf);
  if (!file) return nullptr;
  auto engine = Engine::Load(*file, backend, options);
  return engine ? *std::move(engine) : nullptr;
}

void ExpectSameAloneAndTogether(const testing::Oracle& oracle, backend::Backend* backend) {
  SCOPED_TRACE(oracle.name);
  const auto engine = [&](const EngineOptions& options) {
    return EngineFor(oracle, backend, options);
  };
  const std::unique_ptr<Engine> single = engine({.prefix_cache = false});
  if (single == nullptr) return;  // nothing that generates
  const auto vocabulary = static_cast<int64_t>(oracle.expected.size() / oracle.tokens.size());
  const std::vector<GenerateRequest> requests = EightRequests(vocabulary);
  std::vector<Outcome> expected;
  for (GenerateRequest request : requests) {
    request.speculate = false;
    expected.push_back(RunOne(single.get(), request));
    ASSERT_FALSE(expected.back().error) << expected.back().error->message;
  }
  // With ample room, and with so little that sequences are computed again.
  const EngineOptions kinds[] = {{.kv_tokens = 2048},
                                 {.kv_tokens = 192, .state_slots = 8, .max_batch_tokens = 24}};
  for (const EngineOptions& options : kinds) {
    const std::unique_ptr<Engine> crowd = engine(options);
    for (int round = 0; round < 2; ++round) {  // the second time beginnings are known
      const std::vector<Outcome> outcomes = RunAll(crowd.get(), requests);
      for (size_t i = 0; i < requests.size(); ++i) {
        ASSERT_FALSE(outcomes[i].error) << outcomes[i].error->message;
        EXPECT_TRUE(SameOutput(outcomes[i], expected[i]))
            << "request " << i << ", round " << round << ", pool " << options.kv_tokens;
      }
    }
  }
}

void ExpectOfFolder(const std::filesystem::path& folder) {
  const auto backend = backend::CreateBackend({.name = "cpu"});
  ASSERT_TRUE(backend);
  for (const testing::Oracle& oracle : testing::LoadOracles(folder)) {
    if (oracle.expected.size() >= oracle.tokens.size() * 2)
      ExpectSameAloneAndTogether(oracle, backend->get());
  }
}

TEST(EngineArch, EightUsersGetWhatTheyGetAlone) {
  ExpectOfFolder(testing::SourcePath("tests/data/oracles"));
}

TEST(EngineArch, EightUsersGetWhatTheyGetAloneFromFurtherNetworks) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  ExpectOfFolder(folder);
}

}  // namespace
}  // namespace puna::engine
