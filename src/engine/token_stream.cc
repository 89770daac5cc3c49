#include "engine/token_stream.h"

#include <utility>

namespace puna::engine {

std::vector<StreamEvent> TokenStream::Take() {
  std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

std::vector<StreamEvent> TokenStream::Wait() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [&] { return !events_.empty(); });
  return std::exchange(events_, {});
}

// `notify` runs under the mutex: that is what makes the promise about the earlier one true, and why
// it must not call back.
void TokenStream::SetNotify(std::function<void()> notify) {
  std::lock_guard lock(mutex_);
  notify_ = std::move(notify);
  if (notify_ && !events_.empty()) notify_();
}

void TokenStream::Push(StreamEvent event) {
  std::lock_guard lock(mutex_);
  PushLocked(std::move(event));
}

void TokenStream::Fail(Error error) {
  StreamEvent event;
  event.kind = StreamEvent::Kind::kFailed;
  event.error = std::move(error);
  std::lock_guard lock(mutex_);
  PushLocked(std::move(event));
  // Not before: whoever sees it as cancelled finds the reason with the next Take.
  Cancel();
}

void TokenStream::PushLocked(StreamEvent event) {
  if (ended_) return;
  ended_ = event.kind != StreamEvent::Kind::kDelta;
  events_.push_back(std::move(event));
  if (events_.size() > 1) return;
  arrived_.notify_all();
  if (notify_) notify_();
}

}  // namespace puna::engine
