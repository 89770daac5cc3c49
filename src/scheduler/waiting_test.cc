// Those who wait: for a pass, for a place in memory, in the queue; and those who stop waiting.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "scheduler/scheduler_test_support.h"

namespace puna::scheduler {
namespace {

using engine::Outcome;
using engine::TokenId;
using engine::TokenStream;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::HasSubstr;

using EmbeddingsResult = Result<Scheduler::Embeddings>;

double ValueOf(const std::string& name) {
  const std::string all = MetricsText();
  const size_t at = all.find("\n" + name + " ");
  return at == std::string::npos ? -1.0 : std::stod(all.substr(at + name.size() + 2));
}

class WaitingTest : public SchedulerTest {
 protected:
  // Of at least so many passes.
  static std::vector<std::vector<TokenId>> Texts(size_t passes) {
    constexpr size_t kInPass = 512 / 16;
    return std::vector<std::vector<TokenId>>(passes * kInPass, std::vector<TokenId>(16, 5));
  }
  std::future<EmbeddingsResult> Embed(std::vector<std::vector<TokenId>> inputs) {
    auto promise = std::make_shared<std::promise<EmbeddingsResult>>();
    cancel_ = scheduler_->Embed(embedder_, std::move(inputs), [promise](EmbeddingsResult result) {
      promise->set_value(std::move(result));
    });
    return promise->get_future();
  }
  template <typename Future>
  static bool IsReady(const Future& future) {
    return future.wait_for(nanoseconds(0)) == std::future_status::ready;
  }

  const ModelReference embedder_{
      .name = "bert",
      .weights = testing::SourcePath("tests/data/oracles/bert-dense-pool1.gguf"),
      .embeddings = true,
      .keep_alive = {}};
  std::function<void()> cancel_;  // of the latest Embed
};

TEST_F(WaitingTest, EachPassOfABatchIsOne) {
  meddling_->pass_milliseconds = 2;
  Start();
  const auto batch = Embed(Texts(100000));
  nanoseconds last{};
  int restarts = 0;
  EXPECT_TRUE(Soon([&] {
    const ResidentModel model = scheduler_->List().at(0);
    if (model.pass < last) ++restarts;
    last = model.pass;
    return restarts > 2 && model.running_requests == 1 && model.waiting_requests == 0;
  }));
  // Who has little to ask need not wait for who has much.
  const auto cancel_batch = cancel_;
  EXPECT_TRUE(Embed({{1, 2, 3}}).get());
  EXPECT_FALSE(IsReady(batch));
  cancel_batch();
  ASSERT_TRUE(IsReady(batch));
}

TEST_F(WaitingTest, BatchesTogetherAreWhatEachIsAlone) {
  Start();
  std::vector<std::vector<std::vector<TokenId>>> batches;
  for (int i = 0; i < 5; ++i) {
    batches.emplace_back();
    for (int j = 0; j <= 30 * i; ++j)
      batches.back().emplace_back(static_cast<size_t>(1 + (7 * j + i) % 30), 5 + (i + j) % 20);
  }
  std::vector<std::vector<std::vector<float>>> alone;
  for (const auto& batch : batches) alone.push_back(Embed(batch).get()->vectors);
  meddling_->Set(&Meddling::hold_runs, true);
  std::vector<std::future<EmbeddingsResult>> together;
  for (const auto& batch : batches) together.push_back(Embed(batch));
  meddling_->Set(&Meddling::hold_runs, false);
  for (size_t i = 0; i < batches.size(); ++i) {
    const EmbeddingsResult result = together[i].get();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->vectors, alone[i]) << i;
  }
}

TEST_F(WaitingTest, ABatchThatNobodyWaitsForEnds) {
  meddling_->pass_milliseconds = 1;
  Start();
  auto batch = Embed(Texts(100000));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 2; }));
  cancel_();
  ASSERT_TRUE(IsReady(batch));
  EXPECT_EQ(batch.get().error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(Soon([&] { return scheduler_->List().at(0).running_requests == 0; }));
  EXPECT_LT(meddling_->runs, 100000);
}

TEST_F(WaitingTest, BatchesAndLoadsHaveALimitedTime) {
  options_.request_timeout = milliseconds(50);
  meddling_->pass_milliseconds = 1;
  Start();
  const double late = ValueOf("puna_requests_timed_out_total");
  const EmbeddingsResult result = Embed(Texts(100000)).get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, HasSubstr("not done in its time"));
  meddling_->Set(&Meddling::hold_loads, true);
  std::promise<Result<nanoseconds>> loaded;
  scheduler_->Load(models_[0], [&](auto given) { loaded.set_value(std::move(given)); });
  EXPECT_THAT(loaded.get_future().get().error().message, HasSubstr("not done in its time"));
  EXPECT_EQ(ValueOf("puna_requests_timed_out_total"), late + 2);
  meddling_->Set(&Meddling::hold_loads, false);
}

TEST_F(WaitingTest, ShutdownEndsABatchBetweenPasses) {
  meddling_->pass_milliseconds = 1;
  Start();
  auto batch = Embed(Texts(100000));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 2; }));
  scheduler_->Shutdown(std::chrono::steady_clock::now());
  ASSERT_TRUE(IsReady(batch));
  EXPECT_EQ(batch.get().error().code, ErrorCode::kUnavailable);
  EXPECT_LT(meddling_->runs, 100000);
}

// Of a model that waits for the place of one that computes.
TEST_F(WaitingTest, WhoHasGoneIsNotInTheQueueAndEvictsNobody) {
  options_.max_loaded_models = 1;
  options_.max_queue = 3;
  options_.keep_alive = std::chrono::hours(1);
  Start();
  ASSERT_TRUE(Run(0, Request(2)).stats);
  meddling_->Set(&Meddling::hold_runs, true);
  const int before = meddling_->runs;
  const auto busy = scheduler_->Generate(models_[0], Request(20));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > before; }));
  std::vector<std::shared_ptr<TokenStream>> gone;
  for (int i = 0; i < 3; ++i) gone.push_back(scheduler_->Generate(models_[1], Request(2)));
  ASSERT_TRUE(Soon([&] { return Resident() == std::vector<std::string>{"model1"}; }));
  gone[0]->Cancel();
  gone.resize(1);
  const auto stays = scheduler_->Generate(models_[1], Request(2));
  EXPECT_EQ(WaitFor(gone[0].get()).error->code, ErrorCode::kCancelled);
  EXPECT_TRUE(stays->Take().empty());
  stays->Cancel();
  EXPECT_TRUE(Soon([&] {
    return Resident() == std::vector<std::string>{"model0"} && scheduler_->List().size() == 1;
  }));
  const auto next = scheduler_->Generate(models_[0], Request(2));
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_EQ(WaitFor(busy.get()).tokens.size(), 20u);
  EXPECT_EQ(WaitFor(next.get()).tokens.size(), 2u);
  EXPECT_EQ(scheduler_->List().at(0).state, ModelState::kRunning);
  EXPECT_EQ(meddling_->loads_begun, 1);
}

TEST_F(WaitingTest, ALimitedTimeEndsInTimeWhileTheModelWaitsForItsPlace) {
  options_.max_loaded_models = 1;
  Start();
  meddling_->Set(&Meddling::hold_runs, true);
  const auto busy = scheduler_->Generate(models_[0], Request(20));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 0; }));
  engine::GenerateRequest hurried = Request(2);
  hurried.deadline = std::chrono::steady_clock::now() + milliseconds(20);
  EXPECT_THAT(Run(1, hurried).error->message, HasSubstr("not done in its time"));
  // Of one behind another that waits for its turn, too.
  const auto patient = scheduler_->Generate(models_[1], Request(2));
  hurried.deadline = std::chrono::steady_clock::now() + milliseconds(20);
  EXPECT_THAT(Run(2, hurried).error->message, HasSubstr("not done in its time"));
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_EQ(WaitFor(busy.get()).tokens.size(), 20u);
  EXPECT_EQ(WaitFor(patient.get()).tokens.size(), 2u);
}

// What callbacks throw while the mutex is not held: memory may be short anywhere.
TEST_F(WaitingTest, ACallbackThatThrowsInTheQueueForAPlaceKeepsNobodyOut) {
  options_.max_loaded_models = 1;
  Start();
  meddling_->Set(&Meddling::hold_runs, true);
  const auto busy = scheduler_->Generate(models_[0], Request(20));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 0; }));
  const auto patient = scheduler_->Generate(models_[1], Request(2));
  ASSERT_TRUE(Soon([&] { return Resident() == std::vector<std::string>{"model1"}; }));
  engine::GenerateRequest hurried = Request(2);
  hurried.deadline = std::chrono::steady_clock::now() + milliseconds(20);
  std::atomic<bool> thrown = false;
  const auto late = scheduler_->Generate(models_[2], hurried);
  late->SetNotify([&] {
    thrown = true;
    throw std::bad_alloc();
  });
  ASSERT_TRUE(Soon([&] { return thrown.load(); }));
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_EQ(WaitFor(busy.get()).tokens.size(), 20u);
  EXPECT_EQ(WaitFor(patient.get()).tokens.size(), 2u);
  EXPECT_EQ(Run(2, Request(2)).tokens.size(), 2u);
}

TEST_F(WaitingTest, ACallbackThatThrowsWhereAllFailHarmsNobody) {
  Start();
  meddling_->Set(&Meddling::hold_runs, true);
  const auto first = Embed({{1, 2}});
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 0; }));
  std::atomic<int> thrown = 0;
  const auto thrower = [&](const EmbeddingsResult&) {
    ++thrown;
    throw std::bad_alloc();
  };
  auto second = Embed({{3}});
  scheduler_->Embed(embedder_, {{4}}, thrower);
  auto third = Embed({{5}});
  meddling_->throw_in_run = true;
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_FALSE(second.get());
  EXPECT_FALSE(third.get());
  EXPECT_TRUE(Soon([&] { return thrown == 1; }));
  meddling_->throw_in_run = false;
  EXPECT_TRUE(Soon([&] { return scheduler_->List().empty(); }));
  EXPECT_TRUE(Embed({{6}}).get());
}

// A conversation may be the last that holds much else, whose end takes time.
TEST_F(WaitingTest, AForgottenConversationIsFreedWhileOthersGoOn) {
  options_.prepare_after = milliseconds(1);
  Start();
  ASSERT_TRUE(Run(0, Request(2)).stats);
  meddling_->Set(&Meddling::hold_runs, true);
  const int before = meddling_->runs;
  const auto busy = scheduler_->Generate(models_[1], Request(2));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > before; }));
  std::atomic<bool> prepared = false;
  std::promise<bool> free;
  // Dies with what holds it, and says whether another thread can ask the scheduler meanwhile.
  const auto probe = [&] {
    return std::shared_ptr<void>(nullptr, [&](void*) {
      const auto listed = std::make_shared<std::promise<void>>();
      std::thread([this, listed] {
        scheduler_->List();
        listed->set_value();
      }).detach();
      const auto answer = listed->get_future().wait_for(std::chrono::seconds(5));
      free.set_value(answer == std::future_status::ready);
    });
  };
  scheduler_->Expect(models_[0], [&prepared, kept = probe()] {
    prepared = true;
    return std::vector<TokenId>();
  });
  EXPECT_TRUE(free.get_future().get());
  EXPECT_FALSE(prepared);
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_TRUE(WaitFor(busy.get()).stats);
}

TEST_F(WaitingTest, FurtherChoicesOfACallAreNotInTheQueue) {
  options_.max_queue = 1;
  Start();
  meddling_->Set(&Meddling::hold_loads, true);
  engine::GenerateRequest further = Request(2);
  further.further_choice = true;
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(scheduler_->Generate(models_[0], further));
  EXPECT_EQ(scheduler_->List().at(0).waiting_requests, 0);
  streams.push_back(scheduler_->Generate(models_[0], Request(2)));
  const Outcome refused = Run(0, Request(2));
  ASSERT_TRUE(refused.error);
  EXPECT_THAT(refused.error->message, HasSubstr("maximum pending requests exceeded"));
  meddling_->Set(&Meddling::hold_loads, false);
  for (const auto& stream : streams) EXPECT_TRUE(WaitFor(stream.get()).stats);
}

TEST_F(WaitingTest, EveryEndIsCounted) {
  options_.max_queue = 2;
  Start();
  const double all = ValueOf("puna_requests_total");
  const double finished = ValueOf("puna_requests_finished_total");
  const double failed = ValueOf("puna_requests_failed_total");
  const double cancelled = ValueOf("puna_requests_cancelled_total");
  ASSERT_TRUE(Embed({{1, 2}, {3}}).get());
  ASSERT_FALSE(Embed({{}}).get());
  std::promise<Result<nanoseconds>> loaded, missing;
  scheduler_->Load(models_[0], [&](auto given) { loaded.set_value(std::move(given)); });
  EXPECT_TRUE(loaded.get_future().get());
  for (const ResidentModel& model : scheduler_->List()) {
    EXPECT_TRUE(model.name != "model0" || model.waiting_requests == 0);
  }
  scheduler_->Load({.name = "none", .weights = directory_.path() / "none.gguf", .keep_alive = {}},
                   [&](auto given) { missing.set_value(std::move(given)); });
  EXPECT_FALSE(missing.get_future().get());
  ASSERT_TRUE(Run(0, Request(2)).stats);
  EXPECT_EQ(ValueOf("puna_requests_finished_total"), finished + 3);
  EXPECT_EQ(ValueOf("puna_requests_failed_total"), failed + 2);
  meddling_->Set(&Meddling::hold_loads, true);
  const auto waits = scheduler_->Generate(models_[1], Request(2));
  const auto leaves = scheduler_->Generate(models_[1], Request(2));
  EXPECT_TRUE(Run(1, Request(2)).error);  // refused
  leaves->Cancel();
  EXPECT_TRUE(WaitFor(leaves.get()).error);
  meddling_->Set(&Meddling::hold_loads, false);
  EXPECT_TRUE(WaitFor(waits.get()).stats);
  EXPECT_EQ(ValueOf("puna_requests_failed_total"), failed + 4);
  EXPECT_EQ(ValueOf("puna_requests_finished_total"), finished + 4);
  EXPECT_EQ(ValueOf("puna_requests_cancelled_total"), cancelled + 1);
  EXPECT_EQ(ValueOf("puna_requests_total"), all + 8);
}

}  // namespace
}  // namespace puna::scheduler
