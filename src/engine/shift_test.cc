// Contexts that are full and go on, and what one sequence takes of the pool where it has all of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/engine_test_support.h"

namespace puna::engine {
namespace {

constexpr int64_t kTokens = 50;  // of the vocabulary

GenerateRequest Shifting(size_t prompt, uint32_t seed) {
  GenerateRequest request;
  std::mt19937 random(seed);
  for (size_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<TokenId>(random() % kTokens));
  request.sampling.seed = seed;
  request.shift = true;
  return request;
}

// The slow twin of shifting: the whole of what is still remembered, each time.
std::vector<TokenId> ShiftNaively(const GenerateRequest& request) {
  sampler::Sampler sampler(request.sampling);
  std::vector<TokenId> tokens = request.prompt, output;
  for (const TokenId token : tokens) sampler.Accept(token);
  const auto prompt = static_cast<int64_t>(tokens.size());
  while (std::cmp_less(output.size(), request.max_tokens)) {
    TokenId token = sampler.Sample(testing::HistoryProgram::LogitsAfter(tokens, kTokens));
    if (output.size() < request.replay.size()) token = request.replay[output.size()];
    sampler.Accept(token);
    tokens.push_back(token);
    output.push_back(token);
    const auto size = static_cast<int64_t>(tokens.size());
    if (size < request.context_length) continue;
    // At least a sixteenth, and two tokens, are not kept.
    const int64_t keep = std::min(request.keep_tokens < 0 ? prompt : request.keep_tokens,
                                  size - std::max<int64_t>(2, size / 16));
    const auto kept = tokens.begin() + keep;
    tokens.erase(kept, kept + (size - keep) / 2);
  }
  return output;
}

TEST(Shift, AFullContextShiftsIfAskedTo) {
  HistoryEngine h = MakeHistoryEngine({});
  GenerateRequest request = Shifting(50, 1);
  request.max_tokens = 300;
  request.context_length = 100;
  request.keep_tokens = 20;
  request.shift = false;
  EXPECT_EQ(RunOne(h.engine.get(), request).tokens.size(), 50u);
  request.shift = true;
  const Outcome outcome = RunOne(h.engine.get(), request);
  EXPECT_EQ(outcome.tokens, ShiftNaively(request));
  EXPECT_EQ(outcome.stats->shifted_tokens, 280);  // seven times half of 80
  EXPECT_EQ(outcome.stats->generated_tokens, 300);
  request.max_tokens = -1;
  EXPECT_EQ(RunOne(h.engine.get(), request).tokens.size(), 1000u);
  request.keep_tokens = -1;  // the whole prompt
  EXPECT_EQ(RunOne(h.engine.get(), request).tokens.size(), 1000u);
  request.keep_tokens = INT64_MAX;
  request.context_length = 51;
  EXPECT_EQ(RunOne(h.engine.get(), request).tokens.size(), 510u);
}

// The pool has just the pages of one context and the fewest slots, and the prefix cache holds those
// of others, of the same beginning and of the sequence itself.
class SmallestPool : public ::testing::TestWithParam<std::tuple<int64_t, bool>> {};

TEST_P(SmallestPool, IsEnoughForOneAndForManyInTurn) {
  const auto [context, states] = GetParam();
  EngineOptions options;
  options.kv_tokens = options.context_length = context;
  options.state_slots = kLeastStateSlots;
  HistoryEngine h = MakeHistoryEngine(options, context, kTokens, nullptr, nullptr, states);
  std::mt19937 random(static_cast<uint32_t>(context));
  for (int round = 0; round < 50; ++round) {
    std::vector<GenerateRequest> requests;
    for (size_t i = 0; i < (round % 2 == 0 ? 1 : 3); ++i) {
      const auto length = static_cast<size_t>(1 + random() % static_cast<uint32_t>(context - 1));
      requests.push_back(Shifting(length, random() % 4));
      GenerateRequest& request = requests.back();
      request.context_length = random() % 3 == 0 ? static_cast<int64_t>(length + 1) : context;
      request.max_tokens = static_cast<int64_t>(random() % 200);
      request.keep_tokens = static_cast<int64_t>(random() % static_cast<uint32_t>(context + 1)) - 1;
      // Repeats itself, so that much is guessed.
      if (random() % 2 == 0) {
        for (int j = 0; j < 200; ++j) request.replay.push_back(j % 7 == 6 ? j % 3 : j % 7);
      }
    }
    const std::vector<Outcome> outcomes = RunAll(h.engine.get(), requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      ASSERT_FALSE(outcomes[i].error) << outcomes[i].error->message;
      ASSERT_EQ(outcomes[i].tokens, ShiftNaively(requests[i])) << "round " << round;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Contexts, SmallestPool,
                         ::testing::Combine(::testing::Values(16, 48, 64, 75), ::testing::Bool()),
                         [](const auto& info) {
                           return std::to_string(std::get<0>(info.param)) +
                                  (std::get<1>(info.param) ? "recurrent" : "attention");
                         });

// As it would be by a mistake of ours.
TEST(Pool, WhoNeedsMoreThanAllOfItFailsAlone) {
  Engine::Parts parts;
  parts.config.context_length = 64;
  parts.options = ResolveOptions({}, parts.config);
  parts.options.kv_tokens = 32;
  parts.program = std::make_unique<testing::HistoryProgram>(kTokens, 2, 512);
  parts.vocabulary = parts.output_width = kTokens;
  const auto engine = Engine::FromParts(std::move(parts));
  GenerateRequest large = Shifting(20, 1), small = Shifting(10, 2);
  large.max_tokens = 30;
  small.max_tokens = 15;
  small.context_length = large.context_length = 64;
  const std::vector<Outcome> outcomes = RunAll(engine.get(), {large, small});
  ASSERT_TRUE(outcomes[0].error);
  EXPECT_EQ(outcomes[0].error->code, ErrorCode::kInternal);
  EXPECT_EQ(outcomes[1].tokens, ShiftNaively(small));
}

}  // namespace
}  // namespace puna::engine
