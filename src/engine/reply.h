// Where the result of a request goes that has no stream: to a callback.
#ifndef PUNA_ENGINE_REPLY_H_
#define PUNA_ENGINE_REPLY_H_

#include <functional>
#include <mutex>
#include <utility>

#include "base/result.h"
#include "engine/request_end.h"

namespace puna::engine {

// The callback is called once, with the first result that is given, by the thread that gives it.
// Whoever computes gives up when it sees that the reply has ended. Thread safe.
template <typename T>
class Reply {
 public:
  explicit Reply(std::function<void(Result<T>)> done) : done_(std::move(done)) {}

  // --- consumer
  void Cancel() { Fail({ErrorCode::kCancelled, "the request was cancelled"}); }

  // --- producer
  void Give(T result) { End(std::move(result), RequestEnd::kFinished); }
  void Fail(const Error& error) { End(tl::unexpected<Error>(error), EndWith(error)); }
  // Its time is over.
  void Expire() { End(tl::unexpected<Error>(TimeIsOver()), RequestEnd::kTimedOut); }
  bool ended() const {
    const std::lock_guard lock(mutex_);
    return done_ == nullptr;
  }

 private:
  void End(Result<T> result, RequestEnd end) {
    std::unique_lock lock(mutex_);
    const auto done = std::exchange(done_, nullptr);
    lock.unlock();
    if (!done) return;
    CountEnd(end);
    done(std::move(result));
  }

  mutable std::mutex mutex_;
  std::function<void(Result<T>)> done_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_REPLY_H_
