// How often long work says how far it is: as often as a person can see.
#ifndef PUNA_STORE_PROGRESS_PACE_H_
#define PUNA_STORE_PROGRESS_PACE_H_

#include <chrono>

namespace puna::store {

// Not thread safe; one for each piece of work.
class ProgressPace {
 public:
  static constexpr std::chrono::milliseconds kInterval{60};  // Ollama's

  // Whether the next report is due; the caller makes it then.
  bool Due() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kInterval) return false;
    last_ = now;
    return true;
  }

 private:
  std::chrono::steady_clock::time_point last_;
};

}  // namespace puna::store

#endif  // PUNA_STORE_PROGRESS_PACE_H_
