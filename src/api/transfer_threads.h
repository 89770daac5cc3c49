// Threads for work that takes minutes and mostly waits: pull, push, create. A thread is started
// when there is work and none is idle, so a server that transfers nothing has none. Thread safe.
#ifndef PUNA_API_TRANSFER_THREADS_H_
#define PUNA_API_TRANSFER_THREADS_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"

namespace puna::api {

class TransferThreads {
 public:
  // More than `limit` pieces of work wait for each other.
  explicit TransferThreads(size_t limit) : limit_(limit) {}
  ~TransferThreads() { Join(); }
  TransferThreads(const TransferThreads&) = delete;
  TransferThreads& operator=(const TransferThreads&) = delete;

  // An error only where no thread could be started and there is none; then nothing is posted.
  Status Post(std::function<void()> work);
  // Waits until everything posted is done. Nothing may be posted afterwards.
  void Join();
  size_t started() const;

 private:
  void Loop();

  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool closing_ = false;
};

}  // namespace puna::api

#endif  // PUNA_API_TRANSFER_THREADS_H_
