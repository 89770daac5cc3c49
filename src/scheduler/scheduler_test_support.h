// What the tests of the scheduler share: a backend that can be meddled with, and models to load.
#ifndef PUNA_SCHEDULER_SCHEDULER_TEST_SUPPORT_H_
#define PUNA_SCHEDULER_SCHEDULER_TEST_SUPPORT_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/log.h"
#include "engine/engine_test_support.h"
#include "scheduler/scheduler.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::scheduler {

inline constexpr int64_t kMegabyte = 1 << 20;

// What tests do to a backend that computes properly otherwise.
struct Meddling {
  std::mutex mutex;
  std::condition_variable changed;
  bool hold_runs = false;   // passes wait until this is false
  bool hold_loads = false;  // loads wait, asking again and again whether they are cancelled
  int loads_waiting = 0;
  int loads_begun = 0, first_free_load = INT_MAX;  // only those before it wait
  std::atomic<int> pass_milliseconds = 0;          // so long a pass takes at least
  std::atomic<bool> throw_in_run = false;
  std::atomic<bool> fail_in_run = false;
  std::atomic<bool> unsettled = false;  // there is always more to settle
  std::atomic<int> runs = 0, programs = 0, released = 0;
  std::atomic<int64_t> weights_bytes = 0;   // what Predict claims, if not 0
  std::atomic<int64_t> in_file_bytes = -1;  // the same of weights in the file, if not -1

  int64_t WeightsBytes(bool in_file) const {
    return in_file && in_file_bytes >= 0 ? in_file_bytes : weights_bytes;
  }
  void Set(bool Meddling::*flag, bool value) {
    std::lock_guard lock(mutex);
    this->*flag = value;
    changed.notify_all();
  }
};

class MeddledProgram : public backend::Program {
 public:
  MeddledProgram(std::unique_ptr<backend::Program> inner, std::shared_ptr<Meddling> meddling,
                 bool in_file)
      : inner_(std::move(inner)),
        meddling_(std::move(meddling)),
        weights_bytes_(meddling_->WeightsBytes(in_file)) {
    ++meddling_->programs;
  }
  ~MeddledProgram() override { --meddling_->programs; }
  Status Run(const backend::Batch& batch, std::span<float> out) override {
    ++meddling_->runs;
    std::this_thread::sleep_for(std::chrono::milliseconds(meddling_->pass_milliseconds));
    if (meddling_->throw_in_run) throw std::runtime_error("the program broke");
    {
      std::unique_lock lock(meddling_->mutex);
      meddling_->changed.wait(lock, [&] { return !meddling_->hold_runs; });
    }
    if (meddling_->fail_in_run) return MakeError(ErrorCode::kUnavailable, "the device is lost");
    return inner_->Run(batch, out);
  }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    inner_->CopyPage(from, to, tokens);
  }
  void ReleasePage(int32_t page) override {
    ++meddling_->released;
    inner_->ReleasePage(page);
  }
  backend::MemoryUse memory_use() const override {
    backend::MemoryUse use = inner_->memory_use();
    if (weights_bytes_ > 0) use.weights = weights_bytes_;
    return use;
  }
  bool Settle(double) override {
    if (meddling_->unsettled) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return meddling_->unsettled;
  }
  std::string Describe() const override { return inner_->Describe(); }

 private:
  std::unique_ptr<backend::Program> inner_;
  std::shared_ptr<Meddling> meddling_;
  int64_t weights_bytes_;  // as it was when this was compiled
};

class MeddledBackend : public backend::Backend {
 public:
  MeddledBackend(std::unique_ptr<backend::Backend> inner, std::shared_ptr<Meddling> meddling)
      : inner_(std::move(inner)), meddling_(std::move(meddling)) {}
  std::string_view name() const override { return inner_->name(); }
  Result<std::unique_ptr<backend::Program>> Compile(
      std::shared_ptr<const backend::Plan> plan, const backend::CompileOptions& options) override {
    {
      std::unique_lock lock(meddling_->mutex);
      ++meddling_->loads_waiting;
      meddling_->changed.notify_all();
      const int number = meddling_->loads_begun++;
      while (meddling_->hold_loads && number < meddling_->first_free_load) {
        meddling_->changed.wait_for(lock, std::chrono::milliseconds(1));
        lock.unlock();
        if (options.progress && !options.progress(0, 100))
          return MakeError(ErrorCode::kCancelled, "cancelled");
        lock.lock();
      }
      --meddling_->loads_waiting;
    }
    PUNA_ASSIGN_OR_RETURN(auto program, inner_->Compile(std::move(plan), options));
    return std::make_unique<MeddledProgram>(std::move(program), meddling_, options.weights_in_file);
  }
  backend::MemoryUse Predict(const backend::Plan& plan,
                             const backend::CompileOptions& options) const override {
    backend::MemoryUse use = inner_->Predict(plan, options);
    const int64_t weights_bytes = meddling_->WeightsBytes(options.weights_in_file);
    if (weights_bytes > 0) use.weights = weights_bytes;
    return use;
  }

 private:
  std::unique_ptr<backend::Backend> inner_;
  std::shared_ptr<Meddling> meddling_;
};

inline engine::Outcome WaitFor(engine::TokenStream* stream) {
  engine::Outcome outcome;
  while (!outcome.done()) outcome.Add(stream->Wait());
  return outcome;
}

// Waits at most ten seconds for what another thread does soon.
template <typename Condition>
bool Soon(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

class SchedulerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    InitLog(LogLevel::kError);
    for (uint32_t i = 0; i < 3; ++i) {
      const auto path = directory_.path() / fmt::format("model{}.gguf", i);
      ASSERT_TRUE(testing::WriteTinyLlama(path, {.seed = i + 1}));
      models_.push_back({.name = fmt::format("model{}", i),
                         .weights = path,
                         .embeddings = false,
                         .keep_alive = {}});
    }
    options_.keep_alive = kForever;
    options_.available_memory = [this] { return available_.load(); };
  }
  void Start() {
    scheduler_ = Scheduler::WithBackend(
        options_, std::make_unique<MeddledBackend>(*backend::CreateBackend({.name = "reference"}),
                                                   meddling_));
  }
  static engine::GenerateRequest Request(int64_t max_tokens, uint32_t seed = 1) {
    engine::GenerateRequest request;
    std::mt19937 random(seed);
    request.prompt.resize(3 + random() % 30);
    for (engine::TokenId& token : request.prompt)
      token = static_cast<engine::TokenId>(3 + random() % 280);
    request.sampling.seed = seed;
    request.max_tokens = max_tokens;
    request.logprobs = 1;
    request.ignore_end = true;
    return request;
  }
  engine::Outcome Run(size_t model, const engine::GenerateRequest& request) {
    return WaitFor(scheduler_->Generate(models_[model], request).get());
  }
  std::vector<std::string> Resident() {
    std::vector<std::string> names;
    for (const ResidentModel& model : scheduler_->List()) {
      if (model.state != ModelState::kStopping) names.push_back(model.name);
    }
    return names;
  }

  // The end of a request reaches its user a moment before its worker goes to sleep. An idle model's
  // expiry stands still. REQUIRES: a finite keep-alive.
  void WaitUntilIdle(const std::string& name) {
    std::chrono::system_clock::time_point last;
    EXPECT_TRUE(Soon([&] {
      for (const ResidentModel& model : scheduler_->List()) {
        if (model.name == name) return std::exchange(last, model.expires_at) == model.expires_at;
      }
      return false;
    }));
  }

  testing::TemporaryDirectory directory_;
  std::vector<ModelReference> models_;
  SchedulerOptions options_;
  std::atomic<int64_t> available_ = 1000 * kMegabyte;
  std::shared_ptr<Meddling> meddling_ = std::make_shared<Meddling>();
  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace puna::scheduler

#endif  // PUNA_SCHEDULER_SCHEDULER_TEST_SUPPORT_H_
