// How long steps become that are planned after weights were settled.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "engine/engine_test_support.h"
#include "gguf/gguf.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::engine {
namespace {

// A program on a clock of its own: 20 ms a pass and 4 ms a row, and half a second more as long as
// nothing is settled, which takes two seconds.
class SettlingTest : public ::testing::Test {
 protected:
  static constexpr double kAll = 2, kBudget = 0.15;

  void SetUp() override {
    ASSERT_TRUE(testing::WriteTinyLlama(file_));
    Begin();
  }
  void Begin() {
    streams_.clear();
    settled_ = 0;
    rows_before_ = 0;
    Engine::Parts parts;
    parts.clock = [this] { return now_; };
    parts.config.context_length = 1024;
    parts.options = ResolveOptions({.kv_tokens = 16384}, parts.config);
    auto program = std::make_unique<testing::HistoryProgram>(50, 1024, 512);
    program->before_run = [this, raw = program.get()] {
      const auto rows = static_cast<double>(raw->rows - rows_before_);
      rows_before_ = raw->rows;
      now_ += 0.02 + 0.004 * rows + 0.5 * std::max(0.0, 1 - settled_ / kAll);
    };
    program->on_settle = [this](double seconds) {
      now_ += seconds;
      settled_ += seconds;
      return settled_ < kAll;
    };
    parts.program = std::move(program);
    parts.vocabulary = parts.output_width = 50;
    parts.unsettled = *gguf::File::Open(file_);
    engine_ = Engine::FromParts(std::move(parts));
  }

  static GenerateRequest Request(int64_t prompt, int seed, int64_t max_tokens) {
    GenerateRequest request;
    for (int64_t i = 0; i < prompt; ++i)
      request.prompt.push_back(static_cast<TokenId>((i * 7 + i * i * seed + seed) % 50));
    request.max_tokens = max_tokens;
    request.speculate = false;
    return request;
  }
  void Submit(int64_t prompt, int seed, int64_t max_tokens) {
    streams_.push_back(std::make_shared<TokenStream>());
    engine_->Submit(Request(prompt, seed, max_tokens), streams_.back());
  }
  void SettleWhileIdle() {
    while (engine_->Settle()) {
    }
  }
  // The longest step beside somebody who reads, of at most `steps`.
  double LongestStep(int steps = 1000) {
    double longest = 0;
    bool reading = false;
    for (double begin = now_; steps-- > 0 && engine_->Step(); begin = now_) {
      if (reading) longest = std::max(longest, now_ - begin);
      for (const auto& stream : streams_) reading = reading || !stream->Take().empty();
    }
    return longest;
  }

  testing::TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_.path() / "tiny.gguf";
  double now_ = 0, settled_ = 0;
  int64_t rows_before_ = 0;
  std::unique_ptr<Engine> engine_;
  std::vector<std::shared_ptr<TokenStream>> streams_;
};

TEST_F(SettlingTest, SlowStepsBeforeAreNoMeasureOfThoseAfter) {
  Submit(10, 1, 5);
  LongestStep();
  SettleWhileIdle();
  streams_.clear();
  for (int seed = 2; seed < 10; ++seed) Submit(256, seed, 128);
  EXPECT_LT(LongestStep(), kBudget + 0.01);
}

TEST_F(SettlingTest, APromptThatComesRightAfterIsCutToo) {
  for (const int64_t prompt : {10, 300}) {
    Begin();
    Submit(prompt, 1, 200);
    while (settled_ < kAll) LongestStep(1);
    Submit(400, 2, 3);
    EXPECT_LT(LongestStep(), kBudget + 0.01) << "after a prompt of " << prompt;
  }
}

}  // namespace
}  // namespace puna::engine
