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
  const bool failed = event.kind == StreamEvent::Kind::kFailed;
  const RequestEnd end = failed ? EndWith(event.error) : RequestEnd::kFinished;
  std::lock_guard lock(mutex_);
  PushLocked(std::move(event), end);
}

void TokenStream::Fail(Error error) {
  const RequestEnd end = EndWith(error);
  FailAs(std::move(error), end);
}

void TokenStream::Expire() { FailAs(TimeIsOver(), RequestEnd::kTimedOut); }

void TokenStream::FailAs(Error error, RequestEnd end) {
  StreamEvent event;
  event.kind = StreamEvent::Kind::kFailed;
  event.error = std::move(error);
  std::lock_guard lock(mutex_);
  PushLocked(std::move(event), end);
  // Not before: whoever sees it as cancelled finds the reason with the next Take.
  Cancel();
}

// `end`: what is counted if the event is the last one.
void TokenStream::PushLocked(StreamEvent event, RequestEnd end) {
  if (ended_) return;
  const bool last = event.kind != StreamEvent::Kind::kDelta;
  events_.push_back(std::move(event));
  ended_ = last;
  if (ended_ && counted_) CountEnd(end);
  if (events_.size() > 1) return;
  arrived_.notify_all();
  if (notify_) notify_();
}

}  // namespace puna::engine
