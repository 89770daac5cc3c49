// How the rows of one step are shared out. Pure arithmetic; pages and preemption are step.cc's
// business.
//
// Sequences that generate come first and are never held up by somebody else's prompt; prompts get
// what fits beside them without the step becoming so long that readers notice, or, where no output
// is read as it comes, without it becoming longer than is efficient.
#ifndef PUNA_ENGINE_BATCH_PLANNER_H_
#define PUNA_ENGINE_BATCH_PLANNER_H_

#include <cstdint>
#include <limits>

#include "engine/cost_model.h"

namespace puna::engine {

// What one step takes on. First TakeRows for everybody who generates, then TakeChunk for prompts.
class StepPlan {
 public:
  // A step beside readers lasts at most `budget_seconds` or twice as long as it does without
  // prompts, whichever is longer; it is planned shorter by what such steps overran their plans,
  // except where that would cut off the end of a prompt. Beside outputs that nobody reads as they
  // come `budget_seconds` is half a second at least.
  StepPlan(const CostModel* cost, int64_t max_rows, double budget_seconds)
      : cost_(cost), rows_left_(max_rows), budget_seconds_(budget_seconds) {}

  // The next tokens of a sequence that generates, with `depth` computed ones. Returns how many of
  // `wanted` fit.
  int64_t TakeRows(int64_t wanted, int64_t depth, bool streamed = true);
  // How many of the `remaining` tokens of a prompt, after `depth` computed ones, are computed in
  // this step: up to `most`, and at least one token of the first prompt, however long the step.
  int64_t TakeChunk(int64_t remaining, int64_t depth,
                    int64_t most = std::numeric_limits<int64_t>::max());

  // The same of a prompt that nobody waits for, in a step of its own: so few that whoever arrives
  // meanwhile hardly waits.
  int64_t TakeBackground(int64_t remaining, int64_t depth);

  // All of a prompt that nothing is computed of yet, or 0. The first one gets its rows however long
  // the step becomes.
  int64_t TakeWhole(int64_t rows);

  // How many of `available` guessed tokens of a sequence that generates, `acceptance` of which are
  // right, are verified in this step: what makes the step bring more tokens a second without making
  // it much longer for the others. Only after all prompts: they come first.
  int64_t TakeDraft(double acceptance, int64_t available, int64_t depth);

  const StepWork& work() const { return work_; }
  // Part of a prompt was cut to fit beside those who generate.
  bool bounded() const { return chunk_taken_ && plain_.rows > 0; }

 private:
  int64_t KnownWidth(int64_t wanted) const;
  double Budget() const;
  double SecondsAllowed() const;

  const CostModel* cost_;
  int64_t rows_left_;
  double budget_seconds_;
  StepWork work_;
  StepWork plain_;         // the part that generates
  bool streamed_ = false;  // some of it is read as it comes
  bool chunk_taken_ = false, whole_taken_ = false;
};

// Prompts are computed in order of this, the least first. The shortest first, each counting as
// shorter by the time it has waited: a prompt of `seconds` of work is overtaken only by those that
// come within `seconds` after it.
inline double PromptUrgency(double seconds_of_work, double waited_seconds) {
  return seconds_of_work - waited_seconds;
}

}  // namespace puna::engine

#endif  // PUNA_ENGINE_BATCH_PLANNER_H_
