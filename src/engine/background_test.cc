// Prompts that are computed before anybody asks.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/metrics.h"
#include "engine/engine_test_support.h"

namespace puna::engine {
namespace {

class BackgroundTest : public ::testing::Test {
 protected:
  static constexpr double kPass = 0.01, kRow = 0.001;  // seconds

  void Begin(EngineOptions options = {}, bool states = false) {
    options.kv_tokens = 4096;
    HistoryEngine made = MakeHistoryEngine(
        std::move(options), 2048, 50, nullptr, [this] { return now_; }, states);
    engine_ = std::move(made.engine);
    program_ = made.program;
    program_->before_run = [this, before = int64_t{0}]() mutable {
      now_ += kPass + kRow * static_cast<double>(program_->rows - before);
      before = program_->rows;
    };
  }
  static GenerateRequest Request(int64_t prompt, int64_t max_tokens) {
    GenerateRequest request;
    for (int64_t i = 0; i < prompt; ++i)
      request.prompt.push_back(static_cast<TokenId>((i * 7 + i * i * 3) % 50));
    request.max_tokens = max_tokens;
    request.sampling.seed = 1;
    request.logprobs = 1;
    return request;
  }
  static GenerateRequest Ahead(int64_t prompt) {
    GenerateRequest request = Request(prompt, 0);
    request.logprobs = -1;
    request.background = true;
    return request;
  }

  double now_ = 0;
  testing::HistoryProgram* program_ = nullptr;
  std::unique_ptr<Engine> engine_;
};

TEST_F(BackgroundTest, WhoAsksFindsThePromptComputed) {
  for (const bool states : {false, true}) {
    Begin({}, states);
    const Outcome without = RunOne(engine_.get(), Request(300, 20));
    EXPECT_EQ(without.stats->cached_prompt_tokens, 0);
    Begin({}, states);
    const Outcome ahead = RunOne(engine_.get(), Ahead(290));
    ASSERT_TRUE(ahead.stats);
    EXPECT_TRUE(ahead.tokens.empty());
    EXPECT_EQ(program_->outputs, 0);
    const Outcome with = RunOne(engine_.get(), Request(300, 20));
    // States are where pages end.
    EXPECT_EQ(with.stats->cached_prompt_tokens, states ? 288 : 290);
    EXPECT_TRUE(SameOutput(with, without));
  }
}

TEST_F(BackgroundTest, NoLogitsAreComputedThatNobodyWants) {
  Begin();
  EXPECT_TRUE(RunOne(engine_.get(), Request(300, 0)).stats);
  EXPECT_EQ(program_->outputs, 0) << "of a request for no tokens either";
  GenerateRequest scored = Request(100, 0);
  scored.prompt_logprobs = true;
  EXPECT_EQ(RunOne(engine_.get(), scored).prompt_logprobs.size(), 99u);
  EXPECT_EQ(program_->outputs, 100);
}

TEST_F(BackgroundTest, PassesAreShort) {
  Begin();
  double longest = 0;
  const auto step_all = [&](const GenerateRequest& request) {
    const auto stream = std::make_shared<TokenStream>();
    engine_->Submit(request, stream);
    longest = 0;
    for (double begin = now_; engine_->Step(); begin = now_)
      longest = std::max(longest, now_ - begin);
  };
  // Of a model that has done nothing yet nobody knows how long that takes.
  step_all(Ahead(600));
  EXPECT_LE(longest, 0.051);
  EXPECT_LE(program_->runs, 600 / 40 + 3);
  GenerateRequest other = Request(600, 1);
  std::reverse(other.prompt.begin(), other.prompt.end());
  step_all(other);
  EXPECT_GT(longest, 0.3) << "somebody waits for this one";
}

TEST_F(BackgroundTest, WhatIsComputedWhenItIsCancelledIsKept) {
  Begin();
  auto stream = std::make_shared<TokenStream>();
  engine_->Submit(Ahead(400), stream);
  for (int i = 0; i < 4; ++i) engine_->Step();
  const int64_t computed = program_->rows;
  ASSERT_GT(computed, 40);
  ASSERT_LT(computed, 400);
  stream->Cancel();
  engine_->Step();
  EXPECT_TRUE(engine_->idle());
  EXPECT_EQ(RunOne(engine_.get(), Request(400, 1)).stats->cached_prompt_tokens, computed);
}

TEST_F(BackgroundTest, ItIsNoRequest) {
  const auto value_of = [](const std::string& name) {
    const std::string all = MetricsText();
    const size_t at = all.find("\n" + name + " ");
    return at == std::string::npos ? -1.0 : std::stod(all.substr(at + name.size() + 2));
  };
  Begin();
  const double finished = value_of("puna_requests_finished_total");
  const double failed = value_of("puna_requests_failed_total");
  const double prompts = value_of("puna_prompt_tokens_total");
  const double prepared = value_of("puna_prepared_tokens_total");
  ASSERT_GE(prepared, 0);
  RunOne(engine_.get(), Ahead(100));
  RunOne(engine_.get(), Ahead(120));
  EXPECT_EQ(value_of("puna_prepared_tokens_total"), prepared + 120);
  auto stream = std::make_shared<TokenStream>();
  engine_->Submit(Ahead(1000), stream);
  engine_->Step();
  stream->Cancel();
  engine_->Step();
  EXPECT_EQ(value_of("puna_requests_finished_total"), finished);
  EXPECT_EQ(value_of("puna_requests_failed_total"), failed);
  EXPECT_EQ(value_of("puna_prompt_tokens_total"), prompts);
}

TEST_F(BackgroundTest, WithoutAPrefixCacheThereIsNothingToDo) {
  Begin({.prefix_cache = false});
  const Outcome outcome = RunOne(engine_.get(), Ahead(100));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kUnsupported);
  EXPECT_EQ(program_->runs, 0);
}

}  // namespace
}  // namespace puna::engine
