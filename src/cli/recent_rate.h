// How fast something goes on, as people expect it beside a bar: what the last seconds brought. Not
// thread safe.
#ifndef PUNA_CLI_RECENT_RATE_H_
#define PUNA_CLI_RECENT_RATE_H_

#include <cstdint>
#include <deque>
#include <optional>

namespace puna::cli {

class RecentRate {
 public:
  // `seconds` of any steady clock; what is `completed` already counts for no rate.
  RecentRate(double seconds, int64_t completed);
  // Says how much is completed now. Returns the amount per second over the last 5 seconds (less
  // at the start; back to the last report before them where reports are rarer), which changes
  // once a second so that it can be read. Nothing in the first half second, and until something
  // happened.
  std::optional<double> Note(double seconds, int64_t completed);

 private:
  struct Sample {
    double seconds;
    int64_t completed;
  };
  std::deque<Sample> samples_;  // the first is where the window begins
  std::optional<double> shown_;
  double shown_at_ = 0;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_RECENT_RATE_H_
