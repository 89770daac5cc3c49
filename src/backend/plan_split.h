// A plan in several parts that run one after the other, each by another backend. From one part to
// the next goes one matrix of activations; where several views cross a border, it holds them side
// by side.
#ifndef PUNA_BACKEND_PLAN_SPLIT_H_
#define PUNA_BACKEND_PLAN_SPLIT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/plan.h"

namespace puna::backend {

// A border before op `op`, and what is written before it and read behind it.
struct PlanCut {
  size_t op = 0;
  std::vector<View> crossing;
};

// Attention or recurrent ops of the plan: about one for each layer.
int64_t CountLayers(const Plan& plan);

// cuts[k] leaves k of `CountLayers` layers behind the border, where the least crosses. Nullopt
// where there is no such border: a cache layer is used on both sides (encoders beside decoders,
// layers that read the keys of others), experts or keys would be chosen on one side for the other,
// or the rows are not those of the batch any more. cuts[0] is none, and the last one leaves all
// layers behind the last op in front of them that looks up a row.
std::vector<std::optional<PlanCut>> FindCuts(const Plan& plan);

// The parts between the borders, which ascend and are of FindCuts. Weights keep their numbers,
// cache and state layers do not.
std::vector<Plan> SplitPlan(const Plan& plan, std::span<const PlanCut> cuts);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_PLAN_SPLIT_H_
