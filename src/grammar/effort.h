// How much work one grammar may be to read. Each automaton on the way is bounded, but a text that
// is small to send can ask for thousands of them; this bounds all of them together. Internal to
// grammar.
#ifndef PUNA_GRAMMAR_EFFORT_H_
#define PUNA_GRAMMAR_EFFORT_H_

#include <cstdint>

#include "base/result.h"

namespace puna::grammar {

// Counts steps instead of time, so that it never depends on the machine what is too much. A step
// is about a state, an edge or a value that is looked at: some 20 to 100 ns. Not thread safe.
class Effort {
 public:
  static constexpr int64_t kMostSteps = 30'000'000;

  // kInvalidArgument if that was too much.
  Status Spend(int64_t steps) {
    steps_ += steps;
    if (steps_ <= kMostSteps) return {};
    return MakeError(ErrorCode::kInvalidArgument,
                     "the grammar is too complex: reading it takes more than {} steps", kMostSteps);
  }

 private:
  int64_t steps_ = 0;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_EFFORT_H_
