#include "cli/recent_rate.h"

namespace puna::cli {
namespace {

constexpr double kWindow = 5, kDelay = 0.5, kHold = 1;
// Reports come with every block of a file; this many are enough to know where the window begins.
constexpr double kBetweenSamples = 0.1;

}  // namespace

RecentRate::RecentRate(double seconds, int64_t completed) : samples_{{seconds, completed}} {}

std::optional<double> RecentRate::Note(double seconds, int64_t completed) {
  // An attempt that begins again has less than before.
  if (completed < samples_.back().completed) {
    *this = RecentRate(seconds, completed);
    return std::nullopt;
  }
  while (samples_.size() > 1 && seconds - samples_[1].seconds >= kWindow) samples_.pop_front();
  const Sample first = samples_.front();
  if (seconds - samples_.back().seconds >= kBetweenSamples)
    samples_.push_back({seconds, completed});
  if (seconds - first.seconds < kDelay || (!shown_ && completed == first.completed)) return shown_;
  if (!shown_ || seconds - shown_at_ >= kHold) {
    shown_ = static_cast<double>(completed - first.completed) / (seconds - first.seconds);
    shown_at_ = seconds;
  }
  return shown_;
}

}  // namespace puna::cli
