// Texts that become vectors: which of them share a pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/engine_test_support.h"

namespace puna::engine {
namespace {

class EmbedTest : public ::testing::Test {
 protected:
  using Texts = std::vector<std::vector<TokenId>>;
  using Outcomes = std::shared_ptr<std::optional<Result<Embeddings>>>;

  void Begin(double row_seconds, EngineOptions options = {}) {
    options.embeddings = true;
    HistoryEngine made =
        MakeHistoryEngine(std::move(options), 2048, 50, nullptr, [this] { return now_; });
    engine_ = std::move(made.engine);
    program_ = made.program;
    program_->before_run = [this, row_seconds, before = int64_t{0}]() mutable {
      const int64_t rows = program_->rows - before;
      before = program_->rows;
      widest_ = std::max(widest_, rows);
      now_ += row_seconds * static_cast<double>(rows);
    };
  }
  static Texts Of(size_t count, size_t length) {
    return Texts(count, std::vector<TokenId>(length, 7));
  }
  Outcomes Submit(Texts texts, EmbedRequest request = {}) {
    auto outcome = std::make_shared<std::optional<Result<Embeddings>>>();
    request.inputs = std::move(texts);
    reply_ = std::make_shared<Reply<Embeddings>>(
        [outcome](Result<Embeddings> result) { outcome->emplace(std::move(result)); });
    engine_->Submit(std::move(request), reply_);
    return outcome;
  }

  double now_ = 0;
  int64_t widest_ = 0;
  std::unique_ptr<Engine> engine_;
  testing::HistoryProgram* program_ = nullptr;
  std::shared_ptr<Reply<Embeddings>> reply_;  // of the latest request
};

TEST_F(EmbedTest, PassesAreAsWideAsTheyAreFast) {
  Begin(0.01);
  ASSERT_TRUE(engine_->Embed(Of(300, 20)));
  EXPECT_LE(widest_, 512);
  EXPECT_EQ(program_->runs, 300 / (512 / 20));
  ASSERT_TRUE(engine_->Embed(Of(1, 2000))) << "in one pass, however long that takes";
  widest_ = 0;
  Begin(1e-6);
  ASSERT_TRUE(engine_->Embed(Of(300, 20)));
  EXPECT_GT(widest_, 2000);
}

TEST_F(EmbedTest, ASmallRequestIsInTheNextPass) {
  Begin(0.01);
  const Outcomes large = Submit(Of(1000, 100));
  engine_->Step();
  const Outcomes small = Submit(Of(1, 30));
  EXPECT_EQ(engine_->usage().running, 1);
  EXPECT_EQ(engine_->usage().waiting, 1);
  engine_->Step();
  ASSERT_TRUE(*small);
  EXPECT_TRUE(**small);
  EXPECT_FALSE(*large);
  EXPECT_EQ(engine_->usage().running, 1);
}

TEST_F(EmbedTest, ManySmallRequestsShareAPassAndALongTextHasItsTurn) {
  Begin(0.01);
  std::vector<Outcomes> all;
  for (int i = 0; i < 10; ++i) all.push_back(Submit(Of(1, 20)));
  all.push_back(Submit(Of(1, 1500)));
  for (int i = 0; i < 5; ++i) all.push_back(Submit(Of(1, 20)));
  engine_->Step();
  engine_->Step();
  EXPECT_TRUE(engine_->idle());
  EXPECT_EQ(program_->runs, 2);
  for (const Outcomes& outcome : all) EXPECT_TRUE(*outcome && **outcome);
}

TEST_F(EmbedTest, AsManyAdvanceAsMay) {
  Begin(0.01, {.max_sequences = 1});
  const Outcomes first = Submit(Of(30, 100)), second = Submit(Of(1, 10));
  engine_->Step();
  EXPECT_EQ(engine_->usage().waiting, 1);
  while (!*first) engine_->Step();
  EXPECT_FALSE(*second);
  engine_->Step();
  EXPECT_TRUE(*second);
}

TEST_F(EmbedTest, WhoIsGoneOrLateOrWrongIsNotComputed) {
  Begin(0.01);
  const Outcomes gone = Submit(Of(100, 100));
  engine_->Step();
  reply_->Cancel();
  const Outcomes late = Submit(Of(1, 10), {.deadline = std::chrono::steady_clock::now()});
  const Outcomes wrong = Submit({{1}, {}});
  engine_->Step();
  EXPECT_TRUE(engine_->idle());
  EXPECT_EQ(program_->runs, 1);
  EXPECT_EQ((*gone)->error().code, ErrorCode::kCancelled);
  EXPECT_EQ((*late)->error().code, ErrorCode::kUnavailable);
  EXPECT_EQ((*wrong)->error().message, "input 1 is empty");
  const Outcomes failed = Submit(Of(100, 100));
  engine_->FailAll({ErrorCode::kInternal, "over"});
  EXPECT_EQ((*failed)->error().message, "over");
  EXPECT_TRUE(engine_->idle());
}

}  // namespace
}  // namespace puna::engine
