// A backend that plays a script: whatever the network, the next tokens are those that the test
// wrote. So a test says exactly what a model answers, through the whole server. For one request at
// a time.
#ifndef TESTS_SUPPORT_SCRIPTED_BACKEND_H_
#define TESTS_SUPPORT_SCRIPTED_BACKEND_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"

namespace puna::testing {

// Shared by the test, which writes, and the programs, which play. Thread safe.
class Script {
 public:
  // The next answer: these tokens, one after another; then the last of them again and again, or,
  // where `fails` is set, an exception in the middle of the answer.
  void Play(std::vector<int32_t> tokens, bool fails = false) {
    const std::lock_guard lock(mutex_);
    tokens_ = std::move(tokens);
    fails_ = fails;
    next_ = 0;
  }
  // From now on passes do not end until Release.
  void Hold() {
    const std::lock_guard lock(mutex_);
    hold_ = true;
  }
  void Release() {
    const std::lock_guard lock(mutex_);
    hold_ = false;
    changed_.notify_all();
  }
  void WaitForHeldPass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return held_passes_ > 0; });
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    ++held_passes_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !hold_; });
    --held_passes_;
  }
  // From now on passes take so long for each of their rows.
  void Slow(std::chrono::microseconds row) {
    const std::lock_guard lock(mutex_);
    row_ = row;
    most_rows_ = 0;
  }
  // Of one pass since Slow.
  size_t most_rows() const {
    const std::lock_guard lock(mutex_);
    return most_rows_;
  }
  void Compute(size_t rows) {
    std::unique_lock lock(mutex_);
    most_rows_ = std::max(most_rows_, rows);
    const auto time = row_ * rows;
    lock.unlock();
    std::this_thread::sleep_for(time);
  }
  int32_t Next() {
    const std::lock_guard lock(mutex_);
    if (next_ >= tokens_.size() && fails_) throw std::runtime_error("the script ends here");
    const size_t at = std::min(next_++, tokens_.size() - 1);
    return tokens_[at];
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool hold_ = false;
  int held_passes_ = 0;
  std::chrono::microseconds row_{0};
  size_t most_rows_ = 0;
  std::vector<int32_t> tokens_ = {0};
  size_t next_ = 0;
  bool fails_ = false;
};

class ScriptedProgram : public backend::Program {
 public:
  ScriptedProgram(std::shared_ptr<Script> script, int64_t vocabulary)
      : script_(std::move(script)), vocabulary_(vocabulary) {}
  Status Run(const backend::Batch& batch, std::span<float> out) override {
    script_->Pass();
    script_->Compute(batch.tokens.size());
    std::fill(out.begin(), out.end(), 0.0f);
    for (size_t row = 0; row < batch.output_rows.size(); ++row) {
      const int32_t next = script_->Next();
      CHECK(next >= 0 && next < vocabulary_) << next << " is no token of the model";
      out[row * static_cast<size_t>(vocabulary_) + static_cast<size_t>(next)] = 100;
    }
    return {};
  }
  void CopyPage(int32_t, int32_t, int64_t) override {}
  void ReleasePage(int32_t) override {}
  backend::MemoryUse memory_use() const override { return {}; }
  std::string Describe() const override { return "scripted"; }

 private:
  std::shared_ptr<Script> script_;
  int64_t vocabulary_;
};

class ScriptedBackend : public backend::Backend {
 public:
  explicit ScriptedBackend(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  std::string_view name() const override { return "scripted"; }
  Result<std::unique_ptr<backend::Program>> Compile(std::shared_ptr<const backend::Plan> plan,
                                                    const backend::CompileOptions&) override {
    return std::make_unique<ScriptedProgram>(script_, plan->vocabulary);
  }
  backend::MemoryUse Predict(const backend::Plan&, const backend::CompileOptions&) const override {
    return {};
  }

 private:
  std::shared_ptr<Script> script_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_SCRIPTED_BACKEND_H_
