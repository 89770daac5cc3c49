#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <vector>

#include "scheduler/scheduler_test_support.h"

namespace puna::scheduler {
namespace {

using engine::GenerateRequest;
using engine::Outcome;
using engine::TokenId;
using engine::TokenStream;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::HasSubstr;

TEST_F(SchedulerTest, LoadsOnDemandAndKeeps) {
  Start();
  EXPECT_TRUE(scheduler_->List().empty());
  const Outcome first = Run(0, Request(20));
  ASSERT_TRUE(first.stats) << first.error->message;
  EXPECT_EQ(first.tokens.size(), 20u);
  EXPECT_GT(first.stats->load, nanoseconds(0));
  EXPECT_GE(first.stats->total, first.stats->load);
  const Outcome second = Run(0, Request(20));
  EXPECT_TRUE(SameOutput(first, second));
  EXPECT_EQ(second.stats->load, nanoseconds(0));
  EXPECT_EQ(meddling_->programs, 1);
  const std::vector<ResidentModel> models = scheduler_->List();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].name, "model0");
  EXPECT_EQ(models[0].context_length, 256);
  EXPECT_GT(models[0].size_bytes, 100000);
  EXPECT_EQ(models[0].expires_at, std::chrono::system_clock::time_point::max());
}

TEST_F(SchedulerTest, AnIdleModelGivesUnusedPagesBack) {
  options_.release_after = milliseconds(20);
  options_.prefix_cache = false;
  Start();
  const Outcome first = Run(0, Request(40));
  ASSERT_TRUE(Soon([&] { return meddling_->released > 0; }));
  int64_t idle_bytes = 0;
  ASSERT_TRUE(Soon([&] {
    const ResidentModel model = scheduler_->List().at(0);
    idle_bytes = model.size_bytes;
    return model.pages_in_use == 0;
  }));
  EXPECT_TRUE(SameOutput(Run(0, Request(40)), first));
  EXPECT_GT(meddling_->programs, 0);
  EXPECT_TRUE(Soon([&] { return scheduler_->List().at(0).size_bytes == idle_bytes; }));
}

TEST_F(SchedulerTest, ManyUsersOfTwoModelsGetWhatEachGetsAlone) {
  Start();
  std::vector<Outcome> alone;
  for (uint32_t i = 0; i < 8; ++i) alone.push_back(Run(i % 2, Request(20 + i, i)));
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (uint32_t i = 0; i < 8; ++i)
    streams.push_back(scheduler_->Generate(models_[i % 2], Request(20 + i, i)));
  for (size_t i = 0; i < 8; ++i) EXPECT_TRUE(SameOutput(WaitFor(streams[i].get()), alone[i])) << i;
}

TEST_F(SchedulerTest, AModelLoadsWhileAnotherAnswers) {
  Start();
  Run(0, Request(1));
  meddling_->Set(&Meddling::hold_loads, true);
  const auto waiting = scheduler_->Generate(models_[1], Request(5));
  ASSERT_TRUE(Soon([&] { return scheduler_->List().size() == 2; }));
  EXPECT_EQ(Run(0, Request(30)).tokens.size(), 30u);
  EXPECT_TRUE(waiting->Take().empty());
  bool loading = false;
  for (const ResidentModel& model : scheduler_->List())
    loading |= model.state == ModelState::kLoading && model.name == "model1";
  EXPECT_TRUE(loading);
  meddling_->Set(&Meddling::hold_loads, false);
  EXPECT_EQ(WaitFor(waiting.get()).tokens.size(), 5u);
}

TEST_F(SchedulerTest, LoadsGoOnSideBySide) {
  Start();
  meddling_->first_free_load = 1;
  meddling_->Set(&Meddling::hold_loads, true);
  const auto slow = scheduler_->Generate(models_[0], Request(5));
  ASSERT_TRUE(Soon([&] {
    std::lock_guard lock(meddling_->mutex);
    return meddling_->loads_waiting == 1;
  }));
  EXPECT_EQ(Run(1, Request(5)).tokens.size(), 5u);  // loads and answers meanwhile
  EXPECT_TRUE(slow->Take().empty());
  meddling_->Set(&Meddling::hold_loads, false);
  EXPECT_EQ(WaitFor(slow.get()).tokens.size(), 5u);
}

// Two that fit one by one but not together: the second waits for the first instead of taking the
// memory that the first was promised.
TEST_F(SchedulerTest, MemoryOfAModelThatIsBeingLoadedIsNotGivenAway) {
  meddling_->weights_bytes = 600 * kMegabyte;
  options_.available_memory = [this] { return (1000 - 600 * meddling_->programs) * kMegabyte; };
  Start();
  meddling_->Set(&Meddling::hold_loads, true);
  const auto first = scheduler_->Generate(models_[0], Request(5));
  const auto second = scheduler_->Generate(models_[1], Request(5));
  const auto loads_waiting = [&] {
    std::lock_guard lock(meddling_->mutex);
    return meddling_->loads_waiting;
  };
  ASSERT_TRUE(Soon([&] { return loads_waiting() > 0; }));
  std::this_thread::sleep_for(milliseconds(30));  // in which the second does not begin
  EXPECT_EQ(loads_waiting(), 1);
  meddling_->Set(&Meddling::hold_loads, false);
  EXPECT_EQ(WaitFor(first.get()).tokens.size(), 5u);
  EXPECT_EQ(WaitFor(second.get()).tokens.size(), 5u);
  EXPECT_TRUE(Soon([&] { return meddling_->programs == 1; }));
}

TEST_F(SchedulerTest, AStuckPassIsReported) {
  options_.stuck_after = milliseconds(20);
  Start();
  Run(0, Request(2));
  // The worker ends its pass a little later than the answer.
  EXPECT_TRUE(Soon([&] { return scheduler_->health().stuck.empty(); }));
  meddling_->Set(&Meddling::hold_runs, true);
  const auto stream = scheduler_->Generate(models_[0], Request(5));
  EXPECT_TRUE(
      Soon([&] { return scheduler_->health().stuck == std::vector<std::string>{"model0"}; }));
  EXPECT_GT(scheduler_->List()[0].pass, milliseconds(20));
  EXPECT_EQ(scheduler_->List()[0].running_requests + scheduler_->List()[0].waiting_requests, 1)
      << "taken for the pass";
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_EQ(WaitFor(stream.get()).tokens.size(), 5u);
  EXPECT_TRUE(Soon([&] { return scheduler_->health().stuck.empty(); }));
  EXPECT_TRUE(scheduler_->health().accepting);
  scheduler_->Shutdown(std::chrono::steady_clock::now());
  EXPECT_FALSE(scheduler_->health().accepting);
}

TEST_F(SchedulerTest, RequestsHaveALimitedTimeAlsoWhileTheModelLoads) {
  options_.request_timeout = milliseconds(30);
  Start();
  meddling_->Set(&Meddling::hold_loads, true);
  const Outcome outcome = Run(0, Request(5));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kUnavailable);
  EXPECT_THAT(outcome.error->message, HasSubstr("not done in its time"));
  meddling_->Set(&Meddling::hold_loads, false);
}

TEST_F(SchedulerTest, AModelThatLeavesIsListedAsStopping) {
  Start();
  Run(0, Request(2));
  meddling_->Set(&Meddling::hold_runs, true);
  const int before = meddling_->runs;
  const auto stream = scheduler_->Generate(models_[0], Request(5));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > before; }));
  EXPECT_TRUE(scheduler_->Unload(models_[0].weights));
  ASSERT_EQ(scheduler_->List().size(), 1u);
  EXPECT_EQ(scheduler_->List()[0].state, ModelState::kStopping);
  EXPECT_EQ(ModelStateName(scheduler_->List()[0].state), "stopping");
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_EQ(WaitFor(stream.get()).tokens.size(), 5u);
  EXPECT_TRUE(Soon([&] { return scheduler_->List().empty(); }));
}

TEST_F(SchedulerTest, ErrorsOfLoadingArriveInTheStream) {
  Start();
  ModelReference missing{.name = "none",
                         .weights = directory_.path() / "none.gguf",
                         .embeddings = false,
                         .keep_alive = {}};
  const Outcome outcome = WaitFor(scheduler_->Generate(missing, Request(5)).get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kNotFound);
  std::promise<ErrorCode> loaded;
  scheduler_->Load(missing, [&](const auto& result) { loaded.set_value(result.error().code); });
  EXPECT_EQ(loaded.get_future().get(), ErrorCode::kNotFound);
  EXPECT_TRUE(Soon([&] { return Resident().empty(); }));
}

TEST_F(SchedulerTest, LoadAndEmbedAnswerFromTheWorker) {
  Start();
  std::promise<nanoseconds> loaded;
  scheduler_->Load(models_[0], [&](const auto& result) { loaded.set_value(*result); });
  EXPECT_GT(loaded.get_future().get(), nanoseconds(0));
  ModelReference embedder{
      .name = "bert",
      .weights = testing::SourcePath("tests/data/oracles/bert-dense-pool1.gguf"),
      .embeddings = true,
      .keep_alive = {}};
  std::promise<Result<Scheduler::Embeddings>> embedded, failed;
  scheduler_->Embed(embedder, {{1, 2, 3}, {4}},
                    [&](auto result) { embedded.set_value(std::move(result)); });
  const auto embeddings = embedded.get_future().get();
  ASSERT_TRUE(embeddings) << embeddings.error().message;
  EXPECT_EQ(embeddings->vectors.size(), 2u);
  EXPECT_EQ(embeddings->vectors[0].size(), embeddings->vectors[1].size());
  scheduler_->Embed(embedder, {{}}, [&](auto result) { failed.set_value(std::move(result)); });
  EXPECT_EQ(failed.get_future().get().error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SchedulerTest, KeepAliveUnloadsWhenIdle) {
  options_.keep_alive = milliseconds(30);
  Start();
  Run(0, Request(3));
  EXPECT_TRUE(Soon([&] { return Resident().empty() && meddling_->programs == 0; }));
  EXPECT_EQ(Run(0, Request(3)).tokens.size(), 3u);  // and it comes back
}

TEST_F(SchedulerTest, KeepAliveOfARequestSticks) {
  Start();
  Run(0, Request(3));
  models_[0].keep_alive = milliseconds(0);
  EXPECT_EQ(Run(0, Request(3)).tokens.size(), 3u);
  EXPECT_TRUE(Soon([&] { return Resident().empty(); }));
  models_[0].keep_alive = std::chrono::hours(1);
  Run(0, Request(3));
  models_[0].keep_alive = std::nullopt;
  Run(0, Request(3));
  const auto models = scheduler_->List();
  ASSERT_EQ(models.size(), 1u);
  const auto left = models[0].expires_at - std::chrono::system_clock::now();
  EXPECT_GT(left, std::chrono::minutes(59));
  EXPECT_LE(left, std::chrono::hours(1));
}

TEST_F(SchedulerTest, KeepAliveOfAModelIsThatOfItsNameAlone) {
  options_.keep_alive = std::chrono::minutes(5);
  Start();
  const auto minutes_left = [&] {
    const auto left = scheduler_->List().at(0).expires_at - std::chrono::system_clock::now();
    return std::chrono::round<std::chrono::minutes>(left).count();
  };
  ModelReference other = models_[0];
  other.name = "other";
  models_[0].default_keep_alive = std::chrono::hours(1);
  for (int i = 0; i < 2; ++i) {
    Run(0, Request(3));
    EXPECT_EQ(minutes_left(), 60);
    WaitFor(scheduler_->Generate(other, Request(3)).get());
    EXPECT_EQ(minutes_left(), 5);
  }
  other.keep_alive = std::chrono::minutes(20);
  WaitFor(scheduler_->Generate(other, Request(3)).get());
  EXPECT_EQ(minutes_left(), 20);
  Run(0, Request(3));
  EXPECT_EQ(minutes_left(), 20);
  EXPECT_EQ(scheduler_->List().size(), 1u);
}

// Less than nothing is left where the system's free memory shrinks below what others were promised.
TEST_F(SchedulerTest, NobodyIsToldOfNegativeBytes) {
  Start();
  Run(0, Request(3));
  available_ = 0;
  meddling_->weights_bytes = 5000 * kMegabyte;
  const Outcome outcome = Run(1, Request(3));
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message, ::testing::HasSubstr(", 0 bytes (0.00 GiB) are available"));
}

TEST_F(SchedulerTest, ListIsLatestExpiryFirst) {
  Start();
  models_[0].keep_alive = std::chrono::minutes(1);
  models_[1].keep_alive = kForever;
  models_[2].keep_alive = std::chrono::hours(1);
  for (size_t i = 0; i < 3; ++i) Run(i, Request(2));
  EXPECT_THAT(Resident(), ::testing::ElementsAre("model1", "model2", "model0"));
}

TEST_F(SchedulerTest, UnloadFinishesWhatRuns) {
  Start();
  const Outcome expected = Run(0, Request(100));
  const auto stream = scheduler_->Generate(models_[0], Request(100));
  EXPECT_TRUE(scheduler_->Unload(models_[0].weights));
  EXPECT_TRUE(SameOutput(WaitFor(stream.get()), expected));
  EXPECT_TRUE(Soon([&] { return meddling_->programs == 0; }));
  const Status again = scheduler_->Unload(models_[0].weights);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
}

TEST_F(SchedulerTest, TheQueueIsLimited) {
  options_.max_queue = 3;
  Start();
  meddling_->Set(&Meddling::hold_loads, true);
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(scheduler_->Generate(models_[0], Request(4)));
  for (size_t i = 3; i < 5; ++i) {
    const Outcome outcome = WaitFor(streams[i].get());
    ASSERT_TRUE(outcome.error);
    EXPECT_EQ(outcome.error->code, ErrorCode::kUnavailable);
    EXPECT_THAT(outcome.error->message, HasSubstr("maximum pending requests exceeded"));
  }
  meddling_->Set(&Meddling::hold_loads, false);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(WaitFor(streams[i].get()).tokens.size(), 4u);
  EXPECT_EQ(Run(0, Request(4)).tokens.size(), 4u);
}

TEST_F(SchedulerTest, WhatAPassHasJustTakenWaitsUnlessItRuns) {
  options_.max_queue = 3;
  options_.num_parallel = 1;
  Start();
  meddling_->Set(&Meddling::hold_loads, true);
  meddling_->Set(&Meddling::hold_runs, true);
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(scheduler_->Generate(models_[0], Request(4)));
  meddling_->Set(&Meddling::hold_loads, false);
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 0; }));
  // One runs and two wait.
  streams.push_back(scheduler_->Generate(models_[0], Request(4)));
  const auto refused = scheduler_->Generate(models_[0], Request(4));
  meddling_->Set(&Meddling::hold_runs, false);
  const Outcome outcome = WaitFor(refused.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message, HasSubstr("maximum pending requests exceeded"));
  for (const auto& stream : streams) EXPECT_EQ(WaitFor(stream.get()).tokens.size(), 4u);
}

TEST_F(SchedulerTest, NumParallelLimitsWhoAdvances) {
  options_.num_parallel = 1;
  Start();
  meddling_->Set(&Meddling::hold_runs, true);
  const auto first = scheduler_->Generate(models_[0], Request(5)),
             second = scheduler_->Generate(models_[0], Request(5, 2));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > 0; }));
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_TRUE(WaitFor(first.get()).stats);
  EXPECT_TRUE(WaitFor(second.get()).stats);
  EXPECT_EQ(meddling_->runs, 10);  // never both in one pass
}

TEST_F(SchedulerTest, EvictsTheLeastRecentlyUsedIdleModel) {
  meddling_->weights_bytes = 400 * kMegabyte;
  options_.keep_alive = std::chrono::hours(1);
  options_.available_memory = [this] { return (1000 - 400 * meddling_->programs) * kMegabyte; };
  Start();
  for (const size_t model : {0, 1, 0}) {
    Run(model, Request(2));
    WaitUntilIdle(models_[model].name);
  }
  EXPECT_EQ(Run(2, Request(2)).tokens.size(), 2u);
  EXPECT_THAT(Resident(), ::testing::UnorderedElementsAre("model0", "model2"));
}

// What the system calls available is promised to the weights of the first model.
TEST_F(SchedulerTest, WeightsThatAreNotInPlaceYetCount) {
  meddling_->weights_bytes = 600 * kMegabyte;
  available_ = 1000 * kMegabyte;
  meddling_->unsettled = true;
  Start();
  Run(0, Request(2));
  WaitUntilIdle(models_[0].name);
  EXPECT_EQ(Run(1, Request(2)).tokens.size(), 2u);
  EXPECT_EQ(Resident(), std::vector<std::string>{"model1"});
  meddling_->unsettled = false;
  EXPECT_TRUE(Soon([&] {
    Run(1, Request(2));  // settles
    Run(0, Request(2));
    return Resident().size() == 2u;
  }));
}

TEST_F(SchedulerTest, MaxLoadedModels) {
  options_.max_loaded_models = 1;
  Start();
  for (const size_t model : {0, 1, 0, 2}) {
    EXPECT_EQ(Run(model, Request(2)).tokens.size(), 2u);
    EXPECT_EQ(Resident(), std::vector<std::string>{models_[model].name});
  }
  EXPECT_TRUE(Soon([&] { return meddling_->programs == 1; }));
}

TEST_F(SchedulerTest, ABusyModelFinishesBeforeItIsEvicted) {
  options_.max_loaded_models = 1;
  Start();
  const Outcome expected = Run(0, Request(150));
  meddling_->Set(&Meddling::hold_runs, true);
  const auto busy = scheduler_->Generate(models_[0], Request(150));
  const int before = meddling_->runs;
  ASSERT_TRUE(Soon([&] { return meddling_->runs > before; }));
  const auto other = scheduler_->Generate(models_[1], Request(5));
  ASSERT_TRUE(Soon([&] { return Resident() == std::vector<std::string>{"model1"}; }));
  const auto back = scheduler_->Generate(models_[0], Request(5));  // waits until it can load again
  meddling_->Set(&Meddling::hold_runs, false);
  EXPECT_TRUE(SameOutput(WaitFor(busy.get()), expected));
  EXPECT_EQ(WaitFor(other.get()).tokens.size(), 5u);
  EXPECT_EQ(WaitFor(back.get()).tokens.size(), 5u);
}

TEST_F(SchedulerTest, AModelThatCannotFitIsRefusedAndEvictsNobody) {
  Start();
  Run(0, Request(2));
  meddling_->weights_bytes = 5000 * kMegabyte;
  const Outcome outcome = Run(1, Request(2));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(outcome.error->message, HasSubstr("model1 needs 52"));
  EXPECT_THAT(outcome.error->message, HasSubstr("bytes"));
  EXPECT_EQ(Resident(), std::vector<std::string>{"model0"});
}

TEST_F(SchedulerTest, AModelLargerThanMemoryRunsFromItsFile) {
  Start();
  const Outcome expected = Run(1, Request(9));
  ASSERT_TRUE(scheduler_->Unload(models_[1].weights));
  ASSERT_TRUE(Soon([&] { return Resident().empty(); }));
  meddling_->weights_bytes = 5000 * kMegabyte;
  meddling_->in_file_bytes = kMegabyte;
  EXPECT_TRUE(SameOutput(Run(1, Request(9)), expected));
  EXPECT_TRUE(scheduler_->List()[0].weights_in_file);
  EXPECT_LT(scheduler_->List()[0].size_bytes, 1000 * kMegabyte);
}

TEST_F(SchedulerTest, LittleMemoryMeansAShortContext) {
  ASSERT_TRUE(testing::WriteTinyLlama(directory_.path() / "long.gguf",
                                      {.seed = 1, .context_length = 1 << 20}));
  models_[0].weights = directory_.path() / "long.gguf";
  available_ = 20 * kMegabyte;
  Start();
  Run(0, Request(2));
  const auto models = scheduler_->List();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_GE(models[0].context_length, 2048);
  EXPECT_LT(models[0].context_length, 1 << 20);
  options_.context_length = 1024;
  Start();
  Run(0, Request(2));
  EXPECT_EQ(scheduler_->List()[0].context_length, 1024);
}

TEST_F(SchedulerTest, DroppedAndCancelledStreamsStopTheWork) {
  Start();
  Run(0, Request(2));
  meddling_->Set(&Meddling::hold_runs, true);
  const int before = meddling_->runs;
  auto dropped = scheduler_->Generate(models_[0], Request(200));
  auto cancelled = scheduler_->Generate(models_[0], Request(200, 2));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > before; }));
  dropped.reset();
  cancelled->Cancel();
  meddling_->Set(&Meddling::hold_runs, false);
  Outcome outcome = WaitFor(cancelled.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kCancelled);
  EXPECT_TRUE(scheduler_->Unload(models_[0].weights));  // when all its requests are done
  ASSERT_TRUE(Soon([&] { return Resident().empty(); }));
  EXPECT_LE(meddling_->runs, before + 2);  // the pass that was under way, and the one that notices
}

TEST_F(SchedulerTest, AnAbandonedLoadIsGivenUp) {
  Start();
  meddling_->Set(&Meddling::hold_loads, true);
  auto first = scheduler_->Generate(models_[0], Request(5));
  const auto second = scheduler_->Generate(models_[0], Request(5));
  ASSERT_TRUE(Soon([&] {
    std::lock_guard lock(meddling_->mutex);
    return meddling_->loads_waiting == 1;
  }));
  first.reset();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(Resident().size(), 1u);  // somebody still waits
  second->Cancel();
  const Outcome outcome = WaitFor(second.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kCancelled);
  meddling_->Set(&Meddling::hold_loads, false);
  EXPECT_EQ(Run(0, Request(5)).tokens.size(), 5u);
}

TEST_F(SchedulerTest, AnExceptionFailsTheRequestsAndTheNextOneLoadsAfresh) {
  Start();
  meddling_->Set(&Meddling::hold_runs, true);
  const auto running = scheduler_->Generate(models_[0], Request(50));
  ASSERT_TRUE(Soon([&] { return meddling_->runs == 1; }));
  meddling_->throw_in_run = true;
  meddling_->Set(&Meddling::hold_runs, false);
  const Outcome outcome = WaitFor(running.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kInternal);
  EXPECT_EQ(outcome.error->message, "the program broke");
  meddling_->throw_in_run = false;
  EXPECT_TRUE(Soon([&] { return meddling_->programs == 0; }));
  EXPECT_EQ(Run(0, Request(5)).tokens.size(), 5u);
}

TEST_F(SchedulerTest, AFailedPassFailsTheRequestsAndTheNextOneLoadsAfresh) {
  Start();
  meddling_->Set(&Meddling::hold_runs, true);
  const auto running = scheduler_->Generate(models_[0], Request(50));
  ASSERT_TRUE(Soon([&] { return meddling_->runs == 1; }));
  meddling_->fail_in_run = true;
  meddling_->Set(&Meddling::hold_runs, false);
  const Outcome outcome = WaitFor(running.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kUnavailable);
  EXPECT_EQ(outcome.error->message, "the device is lost");
  meddling_->fail_in_run = false;
  EXPECT_TRUE(Soon([&] { return meddling_->programs == 0; }));
  EXPECT_EQ(Run(0, Request(5)).tokens.size(), 5u);
}

TEST_F(SchedulerTest, ShutdownDrains) {
  Start();
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (uint32_t i = 0; i < 4; ++i)
    streams.push_back(scheduler_->Generate(models_[i % 2], Request(60, i)));
  scheduler_->Shutdown(std::chrono::steady_clock::now() + std::chrono::seconds(60));
  for (const auto& stream : streams) EXPECT_EQ(engine::Collect(stream.get()).tokens.size(), 60u);
  EXPECT_EQ(meddling_->programs, 0);
  const Outcome late = Run(0, Request(5));
  ASSERT_TRUE(late.error);
  EXPECT_EQ(late.error->code, ErrorCode::kUnavailable);
  scheduler_->Shutdown(std::chrono::steady_clock::now());
}

TEST_F(SchedulerTest, ShutdownFailsWhatIsNotDoneInTime) {
  Start();
  Run(0, Request(2));
  meddling_->Set(&Meddling::hold_runs, true);
  const int before = meddling_->runs;
  const auto running = scheduler_->Generate(models_[0], Request(200));
  ASSERT_TRUE(Soon([&] { return meddling_->runs > before; }));
  meddling_->Set(&Meddling::hold_loads, true);
  const auto loading = scheduler_->Generate(models_[1], Request(5));
  const auto queued = scheduler_->Generate(models_[2], Request(5));
  std::promise<Result<nanoseconds>> loaded;
  std::promise<Result<Scheduler::Embeddings>> embedded;
  scheduler_->Load(models_[0], [&](auto result) { loaded.set_value(std::move(result)); });
  scheduler_->Embed(models_[0], {{1, 2, 3}},
                    [&](auto result) { embedded.set_value(std::move(result)); });
  auto done = std::async(std::launch::async, [&] {
    scheduler_->Shutdown(std::chrono::steady_clock::now() + milliseconds(30));
  });
  EXPECT_EQ(done.wait_for(milliseconds(60)),
            std::future_status::timeout);  // a pass cannot be interrupted
  // Nobody waits for its end to hear that it was in vain.
  for (const auto& stream : {running, loading, queued}) {
    const Outcome outcome = WaitFor(stream.get());
    ASSERT_TRUE(outcome.error);
    EXPECT_EQ(outcome.error->code, ErrorCode::kUnavailable) << outcome.error->message;
  }
  EXPECT_EQ(loaded.get_future().get().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(embedded.get_future().get().error().code, ErrorCode::kUnavailable);
  meddling_->Set(&Meddling::hold_runs, false);
  done.get();
  for (const auto& stream : {running, loading, queued}) EXPECT_TRUE(stream->Take().empty());
}

// Eight users at a time, three models of which two fit, random cancels, drops and unloads. Whoever
// was left alone gets the output that he gets alone.
TEST_F(SchedulerTest, Stress) {
  options_.max_loaded_models = 2;
  options_.keep_alive = milliseconds(5);
  Start();
  std::vector<Outcome> expected;
  for (uint32_t i = 0; i < 12; ++i) expected.push_back(Run(i % 3, Request(10 + 5 * i, i)));
  std::atomic<int> completed = 0;
  std::vector<std::thread> users;
  for (uint32_t user = 0; user < 8; ++user) {
    users.emplace_back([&, user] {
      std::mt19937 random(user);
      for (int round = 0; round < 12; ++round) {
        const uint32_t i = random() % 12;
        auto stream = scheduler_->Generate(models_[i % 3], Request(10 + 5 * i, i));
        Outcome outcome;
        switch (random() % 6) {
          case 0:
            std::this_thread::sleep_for(milliseconds(random() % 5));
            stream.reset();
            break;
          case 1:
            outcome.Add(stream->Wait());
            stream->Cancel();
            while (!outcome.done()) outcome.Add(stream->Wait());
            break;
          case 2:
            (void)scheduler_->Unload(models_[random() % 3].weights);
            [[fallthrough]];
          default:
            outcome = WaitFor(stream.get());
            ASSERT_TRUE(outcome.stats) << outcome.error->message;
            ASSERT_TRUE(SameOutput(outcome, expected[i])) << i;
            ++completed;
        }
        (void)scheduler_->List();
      }
    });
  }
  for (std::thread& user : users) user.join();
  EXPECT_GT(completed, 30);
  scheduler_->Shutdown(std::chrono::steady_clock::now() + std::chrono::seconds(30));
  EXPECT_EQ(meddling_->programs, 0);
}

TEST_F(SchedulerTest, TrainedModelWritesTheRecordedText) {
  PUNA_SHARED_OR_SKIP(folder, "data/models/tinystories-656K");
  std::ifstream in(folder / "golden.json");
  const nlohmann::json golden = nlohmann::json::parse(in);
  models_[0].weights = folder / "TinyStories-656K-Q8_0.gguf";
  Start();
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (const auto& test_case : golden["cases"]) {
    GenerateRequest request;
    request.prompt = test_case["prompt_ids"].get<std::vector<TokenId>>();
    request.sampling.temperature = 0;
    streams.push_back(scheduler_->Generate(models_[0], request));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const std::string text = golden["cases"][i]["greedy_text"];
    const Outcome outcome = WaitFor(streams[i].get());
    EXPECT_TRUE((outcome.text + "<|end_story|>").starts_with(text)) << outcome.text;
  }
}

TEST_F(SchedulerTest, RunsOnTheBackendThatSettingsName) {
  for (const char* name : {"reference", "cpu"}) {
    options_.backend.name = name;
    auto scheduler = Scheduler::Create(options_);
    ASSERT_TRUE(scheduler) << scheduler.error().message;
    const auto stream = (*scheduler)->Generate(models_[0], Request(20));
    EXPECT_EQ(WaitFor(stream.get()).tokens.size(), 20u) << name;
  }
  options_.backend.name = "abacus";
  EXPECT_FALSE(Scheduler::Create(options_));
}

TEST_F(SchedulerTest, AFileThatWasReplacedIsLoadedAnew) {
  Start();
  models_[0].file = *gguf::File::Open(models_[0].weights);
  const engine::Outcome before = Run(0, Request(5));
  EXPECT_EQ(Run(0, Request(5)).tokens, before.tokens);
  EXPECT_EQ(meddling_->loads_begun, 1);
  std::filesystem::copy_file(models_[1].weights, models_[0].weights,
                             std::filesystem::copy_options::overwrite_existing);
  models_[0].file = *gguf::File::Open(models_[0].weights);
  EXPECT_EQ(Run(0, Request(5)).tokens, Run(1, Request(5)).tokens);
  EXPECT_TRUE(Soon([&] { return scheduler_->List().size() == 2; })) << "the old one leaves";
}

}  // namespace
}  // namespace puna::scheduler
