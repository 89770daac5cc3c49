// How long steps become in which a prompt is computed beside outputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/engine_test_support.h"

namespace puna::engine {
namespace {

// On a machine that takes 20 ms a step and 2 ms a row.
class StepLength : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.kv_tokens = 1 << 14;
    HistoryEngine made = MakeHistoryEngine(options, 8192, 50, nullptr, [this] { return now_; });
    engine_ = std::move(made.engine);
    made.program->after_run = [this, program = made.program, before = int64_t{0}]() mutable {
      now_ +=
          0.020 + 0.002 * static_cast<double>(program->rows - std::exchange(before, program->rows));
    };
  }
  static GenerateRequest Request(int64_t prompt, int64_t max_tokens, int64_t seed) {
    GenerateRequest request;
    for (int64_t i = 0; i < prompt; ++i)
      request.prompt.push_back(static_cast<TokenId>((seed + i * 7 + i * i * 3) % 50));
    request.max_tokens = max_tokens;
    request.sampling.seed = seed;
    request.logprobs = 2;
    return request;
  }
  struct Late {
    double longest = 0, taken = 0;  // seconds: of a step, of all
    Outcome outcome;
  };
  // A prompt of 4000 tokens that comes while three outputs are generated, some of them streamed.
  Late Arrive(std::vector<bool> streamed) {
    std::vector<std::shared_ptr<TokenStream>> outputs;
    for (const bool one : streamed) {
      GenerateRequest request = Request(100, 1000, static_cast<int64_t>(outputs.size()));
      request.streamed = one;
      outputs.push_back(std::make_shared<TokenStream>());
      engine_->Submit(request, outputs.back());
    }
    for (int i = 0; i < 10; ++i) engine_->Step();
    const auto stream = std::make_shared<TokenStream>();
    engine_->Submit(Request(4000, 5, 9), stream);
    Late late;
    while (!late.outcome.done()) {
      const double begin = now_;
      engine_->Step();
      late.longest = std::max(late.longest, now_ - begin);
      late.taken += now_ - begin;
      late.outcome.Add(stream->Take());
    }
    return late;
  }

  double now_ = 0;
  std::unique_ptr<Engine> engine_;
};

TEST_F(StepLength, BesideReadersStepsAreShort) {
  const Late late = Arrive({true, true, true});
  EXPECT_LE(late.longest, 0.2);
  EXPECT_GT(late.longest, 0.14);
  EXPECT_LT(late.taken, 10.5);  // 8 s of rows, a step for each 65 of them
}

TEST_F(StepLength, BesideWholeAnswersTheyAreWide) {
  const Late late = Arrive({false, false, false});
  EXPECT_NEAR(late.longest, 0.5, 0.02);
  EXPECT_LT(late.taken, 9);  // a step for each 240 rows
}

TEST_F(StepLength, OneReaderIsEnough) { EXPECT_LE(Arrive({false, true, false}).longest, 0.2); }

TEST_F(StepLength, TheOutputIsTheSame) {
  const Outcome alone = RunOne(engine_.get(), Request(4000, 5, 9));
  for (const bool streamed : {false, true}) {
    SetUp();
    EXPECT_TRUE(SameOutput(Arrive({streamed, streamed, streamed}).outcome, alone));
  }
}

}  // namespace
}  // namespace puna::engine
