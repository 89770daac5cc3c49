// A trouble that comes back with every request, such as a full disk, is told when it begins and now
// and then, not each time. Not thread safe.
#ifndef PUNA_BASE_REPEATED_TROUBLE_H_
#define PUNA_BASE_REPEATED_TROUBLE_H_

#include <chrono>
#include <optional>

namespace puna {

class RepeatedTrouble {
 public:
  using Clock = std::chrono::steady_clock;

  // It happened. Whether to tell it: the first time, the first time after Worked, and where it was
  // told ten minutes ago.
  bool IsNews(Clock::time_point now = Clock::now()) {
    if (told_ && now - *told_ < std::chrono::minutes(10)) return false;
    told_ = now;
    return true;
  }
  void Worked() { told_.reset(); }

 private:
  std::optional<Clock::time_point> told_;
};

}  // namespace puna

#endif  // PUNA_BASE_REPEATED_TROUBLE_H_
