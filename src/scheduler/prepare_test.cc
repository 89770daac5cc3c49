// What a model computes while nobody asks for anything.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/duration.h"
#include "base/log.h"
#include "engine/engine_test_support.h"
#include "scheduler/scheduler.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::scheduler {
namespace {

using engine::GenerateRequest;
using engine::Outcome;
using engine::TokenId;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class PrepareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    InitLog(LogLevel::kError);
    options_.keep_alive = kForever;
    options_.prepare_after = milliseconds(20);
    for (const char* name : {"one", "other"}) {
      models_.push_back(
          {.name = name, .weights = directory_.path() / (std::string(name) + ".gguf")});
      ASSERT_TRUE(testing::WriteTinyLlama(models_.back().weights));
    }
    Start();
  }
  void Start() {
    scheduler_.reset();
    scheduler_ = Scheduler::WithBackend(options_, *backend::CreateBackend({.name = "reference"}));
  }
  static std::vector<TokenId> Prompt(int seed, size_t length) {
    std::vector<TokenId> prompt;
    for (size_t i = 0; i < length; ++i)
      prompt.push_back(static_cast<TokenId>(3 + (static_cast<size_t>(seed) + i * i) % 250));
    return prompt;
  }
  std::shared_ptr<engine::TokenStream> Ask(size_t model, std::vector<TokenId> prompt,
                                           int64_t max_tokens) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.sampling.seed = 1;
    request.logprobs = 1;
    request.ignore_end = true;
    return scheduler_->Generate(models_[model], request);
  }
  Outcome Run(size_t model, std::vector<TokenId> prompt, int64_t max_tokens = 5) {
    const auto stream = Ask(model, std::move(prompt), max_tokens);
    Outcome outcome;
    while (!outcome.done()) outcome.Add(stream->Wait());
    return outcome;
  }
  void Expect(int seed, size_t length) {
    scheduler_->Expect(models_[0], [this, seed, length] {
      const std::lock_guard lock(mutex_);
      called_.push_back(seed);
      return Prompt(seed, length);
    });
  }
  std::vector<int> Called() {
    const std::lock_guard lock(mutex_);
    return called_;
  }
  // Waits at most ten seconds for what another thread does soon.
  template <typename Condition>
  static bool Soon(Condition condition) {
    const auto deadline = Clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (Clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  bool PagesAre(int64_t pages) {
    return Soon([&] {
      const ResidentModel model = scheduler_->List().at(0);
      return model.pages_in_use == pages && model.pass.count() == 0;
    });
  }

  testing::TemporaryDirectory directory_;
  std::vector<ModelReference> models_;
  SchedulerOptions options_;
  std::mutex mutex_;
  std::vector<int> called_;
  std::unique_ptr<Scheduler> scheduler_;  // dies first: its workers call back
};

TEST_F(PrepareTest, TheNextRequestFindsWhatWasExpected) {
  const std::vector<TokenId> prompt = Prompt(7, 100);
  const Outcome without = Run(0, prompt);
  EXPECT_EQ(without.stats->cached_prompt_tokens, 0);
  Start();
  Run(0, Prompt(1, 5), 1);
  Expect(7, 90);
  ASSERT_TRUE(PagesAre(1 + 6));
  EXPECT_EQ(scheduler_->List().at(0).running_requests, 0);
  const Outcome with = Run(0, prompt);
  EXPECT_EQ(with.stats->cached_prompt_tokens, 90);
  EXPECT_TRUE(SameOutput(with, without));
}

TEST_F(PrepareTest, NothingIsDoneWhileSomebodyWaits) {
  Run(0, Prompt(1, 5), 1);
  Run(1, Prompt(1, 5), 1);
  for (const size_t busy : {0, 1}) {
    std::atomic<bool> called = false;
    Clock::time_point called_at;
    const Clock::time_point asked_at = Clock::now();
    const auto stream = Ask(busy, Prompt(2, 5), 240);
    scheduler_->Expect(models_[0], [&] {
      called_at = Clock::now();
      called = true;
      return std::vector<TokenId>();
    });
    Outcome outcome;
    while (!outcome.done()) outcome.Add(stream->Wait());
    // Behind requests of its own it waits; beside another model's it may be forgotten.
    if (busy == 0) {
      EXPECT_TRUE(Soon([&] { return called.load(); }));
    }
    scheduler_.reset();
    if (called) {
      EXPECT_GE(called_at, asked_at + outcome.stats->total + options_.prepare_after);
    }
    Start();
    Run(0, Prompt(1, 5), 1);
  }
}

TEST_F(PrepareTest, TheLatestComeFirstAndTheOldestNotAtAll) {
  Run(0, Prompt(1, 5), 1);
  const auto stream = Ask(0, Prompt(2, 5), 50);
  for (int seed = 1; seed <= 10; ++seed) Expect(seed, 20);
  ASSERT_TRUE(Soon([&] { return Called().size() == 8; }));
  EXPECT_EQ(Called(), (std::vector<int>{10, 9, 8, 7, 6, 5, 4, 3}));
}

TEST_F(PrepareTest, WhatFailsHarmsNobody) {
  Run(0, Prompt(1, 5), 1);
  std::atomic<int> called = 0;
  scheduler_->Expect(models_[0], [&]() -> std::vector<TokenId> {
    ++called;
    throw std::runtime_error("no template");
  });
  ASSERT_TRUE(Soon([&] { return called == 1; }));
  // A token that the model does not have, more than its context, and nothing.
  scheduler_->Expect(models_[0], [&] {
    ++called;
    return std::vector<TokenId>{100000};
  });
  Expect(1, 300);
  Expect(2, 0);
  ASSERT_TRUE(Soon([&] { return called == 2 && Called().size() == 2; }));
  const Outcome after = Run(0, Prompt(3, 50));
  ASSERT_TRUE(after.stats) << after.error->message;
  EXPECT_EQ(after.stats->load.count(), 0) << "it was loaded anew";
}

TEST_F(PrepareTest, NeverIfNotWanted) {
  options_.prepare_after = milliseconds(-1);
  Start();
  Expect(1, 20);  // not in memory
  Run(0, Prompt(1, 5), 1);
  Expect(2, 20);
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(Called().empty());
}

TEST_F(PrepareTest, AModelLeavesInTheMiddleOfIt) {
  Run(0, Prompt(1, 5), 1);
  std::atomic<bool> called = false;
  scheduler_->Expect(models_[0], [&] {
    called = true;
    return Prompt(5, 250);
  });
  ASSERT_TRUE(Soon([&] { return called.load(); }));
  ASSERT_TRUE(scheduler_->Unload(models_[0].weights));
  EXPECT_TRUE(Soon([&] { return scheduler_->List().empty(); }));
}

}  // namespace
}  // namespace puna::scheduler
