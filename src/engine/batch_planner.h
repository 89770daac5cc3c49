// How the rows of one step are shared out. Pure arithmetic; pages and preemption are step.cc's
// business.
#ifndef PUNA_ENGINE_BATCH_PLANNER_H_
#define PUNA_ENGINE_BATCH_PLANNER_H_

#include <cstdint>
#include <span>
#include <vector>

namespace puna::engine {

// `remaining[i]` > 0 is how many tokens sequence i has that are not computed yet, in order of
// arrival: 1 for one that is generating, more for a prompt. Returns how many of them each computes
// in this step; the sum is at most `max_rows`. First every sequence that needs one row gets it, so
// that nobody's output waits for somebody else's prompt; what is left goes to the prompts, first
// come first served. With more sequences than rows the later ones wait.
std::vector<int64_t> PlanRows(std::span<const int64_t> remaining, int64_t max_rows);

}  // namespace puna::engine

#endif  // PUNA_ENGINE_BATCH_PLANNER_H_
