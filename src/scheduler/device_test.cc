// Models that share their layers between a device and the CPU, under the scheduler. The device is
// the reference backend with a memory of its own, which tests make small, full or lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend/split_backend.h"
#include "base/duration.h"
#include "base/log.h"
#include "scheduler/scheduler.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::scheduler {
namespace {

using engine::GenerateRequest;
using engine::StreamEvent;
using engine::TokenId;
using engine::TokenStream;

constexpr int64_t kLayers = 4;
// Two heads of 8 values, keys and values, as float16.
constexpr int64_t kPageBytes = kLayers * 2 * 8 * 2 * 2 * backend::kPageTokens;

struct Controls {
  std::atomic<int64_t> available = int64_t{1} << 40;
  std::atomic<int> full_passes = 0, lost_passes = 0;  // so many of the next ones fail
  std::atomic<bool> compiles = true;
  std::atomic<int> compiled = 0;
  std::atomic<int> looked_at = 0;

  // Predictions wait from the one after the next `free_predictions` on.
  std::mutex mutex;
  std::condition_variable changed;
  bool hold_predictions = false;
  int free_predictions = 0, waiting_predictions = 0;

  void HoldPredictions(bool hold, int free = 0) {
    const std::lock_guard lock(mutex);
    hold_predictions = hold;
    free_predictions = free;
    changed.notify_all();
  }
  void WaitInPrediction() {
    std::unique_lock lock(mutex);
    if (free_predictions-- > 0) return;
    ++waiting_predictions;
    changed.notify_all();
    changed.wait(lock, [&] { return !hold_predictions; });
    --waiting_predictions;
  }
  // Waits at most ten seconds.
  bool SomebodyPredicts() {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10),
                            [&] { return waiting_predictions > 0; });
  }
};

class FakeProgram final : public backend::Program {
 public:
  FakeProgram(std::unique_ptr<backend::Program> inner, std::shared_ptr<Controls> controls)
      : inner_(std::move(inner)), controls_(std::move(controls)) {}
  Status Run(const backend::Batch& batch, std::span<float> out) override {
    if (controls_->full_passes > 0) {
      --controls_->full_passes;
      return MakeError(ErrorCode::kResourceExhausted, "the device is full");
    }
    if (controls_->lost_passes > 0) {
      --controls_->lost_passes;
      return MakeError(ErrorCode::kUnavailable, "the device is lost");
    }
    return inner_->Run(batch, out);
  }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    inner_->CopyPage(from, to, tokens);
  }
  void ReleasePage(int32_t page) override { inner_->ReleasePage(page); }
  backend::MemoryUse memory_use() const override { return inner_->memory_use(); }
  std::string Describe() const override { return "the device"; }

 private:
  std::unique_ptr<backend::Program> inner_;
  std::shared_ptr<Controls> controls_;
};

class FakeDevice final : public backend::Backend {
 public:
  explicit FakeDevice(std::shared_ptr<Controls> controls) : controls_(std::move(controls)) {}
  std::string_view name() const override { return "device"; }
  Result<std::unique_ptr<backend::Program>> Compile(
      std::shared_ptr<const backend::Plan> plan, const backend::CompileOptions& options) override {
    ++controls_->compiled;
    if (!controls_->compiles) return MakeError(ErrorCode::kResourceExhausted, "it is full");
    PUNA_ASSIGN_OR_RETURN(auto program, inner_->Compile(std::move(plan), options));
    return std::make_unique<FakeProgram>(std::move(program), controls_);
  }
  backend::MemoryUse Predict(const backend::Plan& plan,
                             const backend::CompileOptions& options) const override {
    controls_->WaitInPrediction();
    return inner_->Predict(plan, options);
  }
  std::vector<backend::DeviceMemory> devices() const override {
    ++controls_->looked_at;
    return {{controls_->available}};
  }

 private:
  std::unique_ptr<backend::Backend> inner_ = *backend::CreateBackend({.name = "reference"});
  std::shared_ptr<Controls> controls_;
};

struct Answer {
  std::vector<TokenId> tokens;
  std::string error;
};

Answer WaitFor(TokenStream* stream) {
  Answer answer;
  for (bool done = false; !done;) {
    for (const StreamEvent& event : stream->Wait()) {
      if (event.kind == StreamEvent::Kind::kFailed) answer.error = event.error.message;
      if (event.kind == StreamEvent::Kind::kDelta && event.delta.token >= 0)
        answer.tokens.push_back(event.delta.token);
      done = done || event.kind != StreamEvent::Kind::kDelta;
    }
  }
  return answer;
}

class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    InitLog(LogLevel::kError);
    model_ = {.name = "model", .weights = directory_.path() / "model.gguf"};
    ASSERT_TRUE(testing::WriteTinyLlama(model_.weights, {.layers = kLayers}));
    options_.keep_alive = kForever;
    options_.available_memory = [this] { return system_bytes_.load(); };
  }
  void Start() {
    std::vector<std::unique_ptr<backend::Backend>> devices;
    devices.push_back(std::make_unique<FakeDevice>(controls_));
    // The CPU is the reference backend too, so that answers are alike wherever they are computed.
    scheduler_ = Scheduler::WithBackend(
        options_, backend::CreateSplitBackend(std::move(devices),
                                              *backend::CreateBackend({.name = "reference"})));
  }
  static GenerateRequest Request(int seed, int64_t max_tokens = 40) {
    GenerateRequest request;
    for (int i = 0; i < 5 + 7 * seed; ++i)
      request.prompt.push_back(static_cast<TokenId>(3 + (i * 31 + seed * 17) % 280));
    request.sampling.seed = seed;
    request.max_tokens = max_tokens;
    request.ignore_end = true;
    return request;
  }
  Answer Run(const ModelReference& model, int seed = 1) {
    return WaitFor(scheduler_->Generate(model, Request(seed)).get());
  }
  ModelReference WithLayers(int64_t layers) const {
    ModelReference model = model_;
    model.device_layers = layers;
    return model;
  }
  ModelReference Second() const {
    ModelReference second = model_;
    second.name = "second";
    second.weights = directory_.path() / "second.gguf";
    std::filesystem::copy_file(model_.weights, second.weights);
    return second;
  }
  ResidentModel Listed() const {
    for (const ResidentModel& model : scheduler_->List()) {
      if (model.state == ModelState::kRunning) return model;
    }
    return {};
  }

  testing::TemporaryDirectory directory_;
  ModelReference model_;
  SchedulerOptions options_;
  std::atomic<int64_t> system_bytes_ = int64_t{1} << 30;
  std::shared_ptr<Controls> controls_ = std::make_shared<Controls>();
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(DeviceTest, TellsHowMuchOfAModelIsOnTheDevice) {
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  EXPECT_EQ(expected.size(), 40u);
  const ResidentModel whole = Listed();
  EXPECT_GT(whole.size_bytes, 0);
  EXPECT_EQ(whole.size_vram_bytes, whole.size_bytes);
  int64_t before = whole.size_vram_bytes;
  for (const int64_t layers : {3, 2, 1}) {
    EXPECT_EQ(Run(WithLayers(layers)).tokens, expected);
    const ResidentModel listed = Listed();
    EXPECT_LT(listed.size_vram_bytes, before) << layers;
    EXPECT_GT(listed.size_vram_bytes, 0) << layers;
    before = listed.size_vram_bytes;
  }
  EXPECT_EQ(Run(WithLayers(0)).tokens, expected);
  EXPECT_EQ(Listed().size_vram_bytes, 0);
}

TEST_F(DeviceTest, AnotherNumberOfLayersLoadsAnewAndNoneTakesItAsItIs) {
  Start();
  Run(model_);
  EXPECT_EQ(controls_->compiled, 1);
  Run(WithLayers(2));
  EXPECT_EQ(controls_->compiled, 2);
  Run(WithLayers(2));
  Run(model_);
  EXPECT_EQ(controls_->compiled, 2);
  ModelReference first = WithLayers(2);
  first.device = 0;  // the only one there is
  Run(first);
  EXPECT_EQ(controls_->compiled, 2);
  first.device = 1;
  EXPECT_EQ(Run(first).error, "there is no device 1, only 1 in use");
}

// Opening them takes a while, and a server that computes nothing needs none.
TEST_F(DeviceTest, DevicesAreLookedAtWhenTheFirstModelIsLoaded) {
  Start();
  EXPECT_TRUE(scheduler_->List().empty());
  EXPECT_TRUE(scheduler_->health().accepting);
  EXPECT_EQ(controls_->looked_at, 0);
  EXPECT_EQ(Run(WithLayers(2)).tokens.size(), 40u);
  EXPECT_GT(controls_->looked_at, 0);
}

TEST_F(DeviceTest, ARunningAnswerIsFinishedWhereItBegan) {
  Start();
  const auto running = scheduler_->Generate(model_, Request(1, 200));
  while (running->Wait().empty()) {
  }
  EXPECT_EQ(Run(WithLayers(1), 2).tokens.size(), 40u);
  EXPECT_GT(WaitFor(running.get()).tokens.size(), 0u);
}

TEST_F(DeviceTest, ASmallDeviceGetsTheLayersThatFit) {
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  const ResidentModel before = Listed();
  // A smaller cache, and all layers.
  scheduler_.reset();
  controls_->available = before.size_bytes + before.pages * kPageBytes / 2;
  Start();
  EXPECT_EQ(Run(model_).tokens, expected);
  EXPECT_EQ(Listed().size_vram_bytes, Listed().size_bytes);
  EXPECT_LT(Listed().pages, before.pages);
  EXPECT_GE(Listed().pages * backend::kPageTokens, 256);
  // Somewhere between all and nothing.
  bool shared = false;
  for (int percent = 100; percent > 0 && !shared; percent -= 5) {
    scheduler_.reset();
    controls_->available = before.size_bytes * percent / 100;
    Start();
    EXPECT_EQ(Run(model_).tokens, expected);
    const ResidentModel model = Listed();
    EXPECT_LE(model.size_vram_bytes, controls_->available);
    shared = model.size_vram_bytes > 0 && model.size_vram_bytes < model.size_bytes;
  }
  EXPECT_TRUE(shared);
  controls_->available = 1000;
  scheduler_.reset();
  Start();
  EXPECT_EQ(Run(model_).tokens, expected);
  EXPECT_EQ(Listed().size_vram_bytes, 0);
}

// What is on the device needs no memory of the system, and what is not there needs as much as with
// the CPU alone.
TEST_F(DeviceTest, EveryMemoryMustHoldItsPartOfAModel) {
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  const int64_t size = Listed().size_bytes + Listed().pages * kPageBytes;
  scheduler_.reset();
  system_bytes_ = size / 3;
  Start();
  EXPECT_EQ(Run(model_).tokens, expected);
  EXPECT_EQ(Listed().size_vram_bytes, Listed().size_bytes);
  // Together there is more than enough, but the system has too little for its three layers.
  scheduler_.reset();
  controls_->available = 2 * size;
  Start();
  const std::string refused = Run(WithLayers(1)).error;
  EXPECT_THAT(refused, ::testing::HasSubstr("beside what fits on the devices"));
  EXPECT_THAT(refused, ::testing::HasSubstr(std::to_string(size / 3) + " bytes"));
  // The device is full when it is to be filled: the error is that of a model for the CPU.
  scheduler_.reset();
  controls_->compiles = false;
  Start();
  EXPECT_THAT(Run(model_).error,
              ::testing::ContainsRegex("the CPU's part of the model .* needs .* are available"));
  system_bytes_ = int64_t{1} << 30;
  EXPECT_EQ(Run(model_).tokens, expected);
  EXPECT_EQ(Listed().size_vram_bytes, 0);
}

// The cache of the first is not written yet, so the driver calls its memory free.
TEST_F(DeviceTest, WhatOneModelWasPromisedIsNotGivenToAnother) {
  Start();
  Run(model_);
  const ResidentModel first = Listed();
  scheduler_.reset();
  controls_->available = first.size_bytes + first.pages * kPageBytes * 2;
  Start();
  Run(model_);
  ASSERT_EQ(Listed().size_vram_bytes, Listed().size_bytes);
  const ModelReference second = Second();
  controls_->available = first.size_bytes + first.pages * kPageBytes / 2;
  EXPECT_EQ(Run(second).tokens.size(), 40u);
  for (const ResidentModel& model : scheduler_->List()) {
    if (model.name == "second") {
      EXPECT_LT(model.size_vram_bytes, model.size_bytes);
    } else {
      EXPECT_EQ(model.size_vram_bytes, model.size_bytes);
    }
  }
}

TEST_F(DeviceTest, NobodyWaitsWhileLayersAreDivided) {
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  // The first of a load is of all layers on the device; the next is as there is room.
  controls_->HoldPredictions(true, /*free=*/1);
  const auto second = scheduler_->Generate(Second(), Request(1));
  ASSERT_TRUE(controls_->SomebodyPredicts());
  auto answer = std::async(std::launch::async, [&] { return Run(model_).tokens; });
  EXPECT_EQ(answer.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  controls_->HoldPredictions(false);
  EXPECT_EQ(answer.get(), expected);
  EXPECT_EQ(WaitFor(second.get()).tokens, expected);
}

// Else the second would seem too large for what the first left, and run from its file.
TEST_F(DeviceTest, LayersAreDividedAgainWhenSomebodyLeavesMeanwhile) {
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  const int64_t size = Listed().size_bytes + Listed().pages * kPageBytes;
  controls_->available = 1000;
  system_bytes_ = size / 3;  // too little for layers
  controls_->HoldPredictions(true, /*free=*/1);
  const auto second = scheduler_->Generate(Second(), Request(1));
  ASSERT_TRUE(controls_->SomebodyPredicts());
  auto unloaded = std::async(std::launch::async, [&] {
    const bool known = scheduler_->Unload(model_.weights).has_value();
    while (scheduler_->List().size() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return known;
  });
  EXPECT_EQ(unloaded.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  controls_->available = 2 * size;
  controls_->HoldPredictions(false);
  EXPECT_TRUE(unloaded.get());
  const Answer answer = WaitFor(second.get());
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.tokens, expected);
  EXPECT_FALSE(Listed().weights_in_file);
}

TEST_F(DeviceTest, AFullDeviceGivesLayersBackInTheMiddleOfAnswers) {
  Start();
  std::vector<std::vector<TokenId>> expected;
  for (int seed = 0; seed < 4; ++seed) expected.push_back(Run(model_, seed).tokens);
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (int seed = 0; seed < 4; ++seed)
    streams.push_back(scheduler_->Generate(model_, Request(seed)));
  while (streams[0]->Wait().empty()) {
  }
  controls_->full_passes = 2;
  for (size_t i = 1; i < 4; ++i) {
    const Answer answer = WaitFor(streams[i].get());
    EXPECT_EQ(answer.error, "");
    EXPECT_EQ(answer.tokens, expected[i]) << i;
  }
  // Whether or not the answers were over before the passes failed, these finish them.
  EXPECT_EQ(Run(model_, 3).tokens, expected[3]);
  EXPECT_EQ(controls_->full_passes, 0);
  EXPECT_EQ(controls_->compiled, 3);
  EXPECT_LT(Listed().size_vram_bytes, Listed().size_bytes);
}

TEST_F(DeviceTest, TextsAreEmbeddedWhereverThereIsRoom) {
  Start();
  model_ = {.name = "bert",
            .weights = testing::SourcePath("tests/data/oracles/bert-dense-pool1.gguf"),
            .embeddings = true};
  const auto embed = [&] {
    std::promise<Result<Scheduler::Embeddings>> embedded;
    scheduler_->Embed(model_, {{1, 2, 3}, {4}},
                      [&](auto result) { embedded.set_value(std::move(result)); });
    return embedded.get_future().get();
  };
  const auto expected = embed();
  ASSERT_TRUE(expected) << expected.error().message;
  controls_->full_passes = 1;
  const auto full = embed();
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(full->vectors, expected->vectors);
  EXPECT_EQ(controls_->full_passes, 0);
  controls_->lost_passes = 1;
  EXPECT_EQ(embed().error().message, "the device is lost");
  EXPECT_EQ(embed()->vectors, expected->vectors);
}

TEST_F(DeviceTest, ALostDeviceEndsTheRequestsOfThePassAndIsOpenedAnew) {
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  controls_->lost_passes = 1;
  EXPECT_EQ(Run(model_).error, "the device is lost");
  EXPECT_EQ(Run(model_).tokens, expected);
  EXPECT_EQ(controls_->compiled, 2);
  controls_->lost_passes = 2;  // and again, before it has done anything
  EXPECT_EQ(Run(model_).error, "the device is lost");
  EXPECT_EQ(Run(model_).error, "the device is lost");
  EXPECT_EQ(Run(model_).tokens, expected);
  EXPECT_EQ(Listed().size_vram_bytes, 0);
}

TEST_F(DeviceTest, ADeviceThatIsLostWhileNobodyWaitsHarmsNobody) {
  options_.prepare_after = std::chrono::milliseconds(10);
  Start();
  const std::vector<TokenId> expected = Run(model_).tokens;
  for (const bool comes_back : {true, false}) {
    controls_->compiles = comes_back;
    if (!comes_back) system_bytes_ = 1;  // nor does it fit elsewhere
    controls_->lost_passes = 1;
    scheduler_->Expect(model_, [] { return Request(5).prompt; });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (controls_->lost_passes > 0 || (!comes_back && !scheduler_->List().empty())) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << comes_back;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    controls_->compiles = true;
    system_bytes_ = int64_t{1} << 30;
    EXPECT_EQ(Run(model_).tokens, expected) << comes_back;
  }
}

}  // namespace
}  // namespace puna::scheduler
