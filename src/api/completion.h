// Waiting in a coroutine for a result that another thread delivers by callback.
#ifndef PUNA_API_COMPLETION_H_
#define PUNA_API_COMPLETION_H_

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "http/server.h"

namespace puna::api {

template <typename T>
class Completion {
 public:
  explicit Completion(boost::asio::any_io_executor executor)
      : state_(std::make_shared<State>(std::move(executor))) {}

  // Give this to whoever computes; it may outlive the Completion. Thread safe; call it once.
  auto Callback() const {
    return [state = state_](T value) {
      {
        const std::lock_guard lock(state->mutex);
        state->value = std::move(value);
      }
      state->notifier.Notify();
    };
  }

  http::Task<T> Wait() {
    const auto state = state_;
    while (true) {
      {
        const std::lock_guard lock(state->mutex);
        if (state->value) co_return *std::move(state->value);
      }
      co_await state->notifier.Wait(std::chrono::hours(1));
    }
  }

 private:
  struct State {
    explicit State(boost::asio::any_io_executor executor) : notifier(std::move(executor)) {}
    http::Notifier notifier;
    std::mutex mutex;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_;
};

}  // namespace puna::api

#endif  // PUNA_API_COMPLETION_H_
