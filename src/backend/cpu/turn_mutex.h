// A mutex that is handed to whoever has waited longest, so that a thread that takes it again and
// again (packing the weights of a model) leaves turns to others (passes of another model).
#ifndef PUNA_BACKEND_CPU_TURN_MUTEX_H_
#define PUNA_BACKEND_CPU_TURN_MUTEX_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace puna::backend::cpu {

// For std::lock_guard.
class TurnMutex {
 public:
  void lock() {
    std::unique_lock lock(mutex_);
    const uint64_t turn = next_++;
    changed_.wait(lock, [&] { return serving_ == turn; });
  }
  void unlock() {
    {
      const std::lock_guard lock(mutex_);
      ++serving_;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0, serving_ = 0;
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_TURN_MUTEX_H_
