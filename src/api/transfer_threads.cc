#include "api/transfer_threads.h"

#include <utility>

#include "base/thread.h"

namespace puna::api {

Status TransferThreads::Post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (idle_ <= queue_.size() && threads_.size() < limit_) {
    auto thread = StartThread("puna-transfer", [this] { Loop(); });
    // With others it waits for one of them.
    if (!thread && threads_.empty()) return tl::unexpected(thread.error());
    if (thread) threads_.push_back(*std::move(thread));
  }
  queue_.push_back(std::move(work));
  changed_.notify_one();
  return {};
}

void TransferThreads::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    changed_.wait(lock, [this] { return !queue_.empty() || closing_; });
    --idle_;
    if (queue_.empty()) return;
    const std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

void TransferThreads::Join() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    threads.swap(threads_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

size_t TransferThreads::started() const {
  const std::lock_guard lock(mutex_);
  return threads_.size();
}

}  // namespace puna::api
