// A plan without the experts of some layers, which somebody else computes in the middle of its
// passes: their weights are most of what a mixture has, and a token reads few of them.
#ifndef PUNA_BACKEND_EXPERTS_SPLIT_H_
#define PUNA_BACKEND_EXPERTS_SPLIT_H_

#include <cstdint>
#include <vector>

#include "backend/plan.h"

namespace puna::backend {

struct ExpertsApart {
  Plan plan;                  // with a DetourOp in the place of each ExpertsOp that was taken
  std::vector<Plan> experts;  // what computes them, by the number of the detour
};

// ExpertsOps that can be taken out of the plan.
int64_t CountExperts(const Plan& plan);

// The first `count` of them taken out. A plan of experts has the rows of a detour as its tokens;
// its input is the router's logits and behind them the experts' input. It chooses the experts by
// itself. Weights keep their numbers in all plans.
ExpertsApart TakeExpertsApart(const Plan& plan, int64_t count);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_EXPERTS_SPLIT_H_
