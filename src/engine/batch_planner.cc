#include "engine/batch_planner.h"

#include <algorithm>

#include "engine/prompt_lookup.h"

namespace puna::engine {
namespace {

// Nobody reads along: steps may be as long as is efficient, but whoever arrives or cancels should
// not wait for a whole batch of a large model.
constexpr double kUnwatchedSeconds = 1.0;
constexpr int64_t kUnwatchedRows = 64;
// Beside outputs of which only the end counts: wide enough that rows cost about what they do in the
// widest steps, and short enough that an answer advances while prompts keep coming.
constexpr double kUnstreamedSeconds = 0.5;
// Nobody waits for the step: whoever arrives meanwhile waits for half of this on average.
constexpr double kBackgroundSeconds = 0.05;
// A step that must be short has at most so many times the rows of the widest one that was seen, or
// so many: what rows cost may have been learned from very few.
constexpr int64_t kMostGrowth = 4;
constexpr int64_t kLeastWidth = 16;
// Guesses of one user may not make everybody's step longer than this many plain ones.
constexpr double kLongestDraftStep = 2;

}  // namespace

int64_t StepPlan::TakeRows(int64_t wanted, int64_t depth, bool streamed) {
  const int64_t rows = std::min(wanted, rows_left_);
  if (rows <= 0) return 0;
  streamed_ |= streamed;
  rows_left_ -= rows;
  work_ = plain_ = work_.Plus(rows, depth);
  return rows;
}

double StepPlan::Budget() const {
  const double least = streamed_ ? budget_seconds_ : std::max(budget_seconds_, kUnstreamedSeconds);
  return std::max(least, 2 * cost_->Seconds(plain_));
}

double StepPlan::SecondsAllowed() const {
  if (plain_.rows == 0) return std::max(kUnwatchedSeconds, budget_seconds_);
  return Budget() / cost_->Overrun();
}

// How many of `wanted` rows can join a step without making it so wide that its time is unknown.
int64_t StepPlan::KnownWidth(int64_t wanted) const {
  const int64_t widest = std::max(kLeastWidth, kMostGrowth * cost_->most_rows());
  return std::clamp<int64_t>(widest - work_.rows, 1, wanted);
}

int64_t StepPlan::TakeChunk(int64_t remaining, int64_t depth, int64_t most) {
  int64_t wanted = std::min({remaining, most, rows_left_});
  if (wanted <= 0) return 0;
  if (plain_.rows > 0) wanted = KnownWidth(wanted);
  int64_t rows = cost_->RowsWithin(SecondsAllowed(), work_, wanted, depth);
  const int64_t least = plain_.rows == 0 ? kUnwatchedRows - work_.rows : (chunk_taken_ ? 0 : 1);
  // What the margin for overruns would cut off costs everybody a step of its own.
  if (plain_.rows > 0 && wanted == remaining &&
      cost_->Seconds(work_.Plus(wanted, depth)) <= Budget()) {
    rows = wanted;
  }
  rows = std::min(wanted, std::max(rows, least));
  if (rows <= 0) return 0;
  chunk_taken_ = true;
  rows_left_ -= rows;
  work_ = work_.Plus(rows, depth);
  return rows;
}

int64_t StepPlan::TakeBackground(int64_t remaining, int64_t depth) {
  int64_t rows = std::min(remaining, rows_left_);
  if (rows <= 0) return 0;
  // Of a large model a step with one row takes longer: then twice as long is cheap for what it
  // does.
  const double seconds =
      std::max(kBackgroundSeconds, 2 * cost_->Seconds(work_.Plus(/*more_rows=*/1, depth)));
  rows = std::max<int64_t>(1, cost_->RowsWithin(seconds, work_, KnownWidth(rows), depth));
  rows_left_ -= rows;
  work_ = work_.Plus(rows, depth);
  return rows;
}

int64_t StepPlan::TakeWhole(int64_t rows) {
  if (rows > rows_left_) return 0;
  if (whole_taken_ && cost_->RowsWithin(SecondsAllowed(), work_, rows, 0) < rows) return 0;
  whole_taken_ = true;
  rows_left_ -= rows;
  work_ = work_.Plus(rows, 0);
  return rows;
}

int64_t StepPlan::TakeDraft(double acceptance, int64_t available, int64_t depth) {
  if (chunk_taken_ || plain_.rows == 0) return 0;
  const double longest = kLongestDraftStep * cost_->Seconds(plain_);
  available = std::min(available, rows_left_);
  available = cost_->RowsWithin(longest, work_, available, depth);
  const int64_t rows = WorthVerifying(acceptance, available, work_.rows, [&](int64_t more) {
    return cost_->Seconds(work_.Plus(more, depth));
  });
  rows_left_ -= rows;
  work_ = work_.Plus(rows, depth);
  return rows;
}

}  // namespace puna::engine
