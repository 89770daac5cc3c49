#include "backend/adapter.h"

#include <algorithm>

namespace puna::backend {

int64_t Adapter::max_rank() const {
  int64_t rank = 0;
  for (const LowRankChange& change : changes) rank = std::max(rank, change.rank);
  return rank;
}

int64_t Adapter::bytes() const {
  size_t values = 0;
  for (const LowRankChange& change : changes) values += change.a.size() + change.b.size();
  return static_cast<int64_t>(values * sizeof(float) + by_weight.size() * sizeof(int));
}

std::vector<bool> ChangeableWeights(const Plan& plan) {
  std::vector<bool> changeable(plan.weights.size(), false);
  const auto add = [&](WeightId id) {
    if (id != kNoWeight) changeable[static_cast<size_t>(id)] = true;
  };
  for (const Op& op : plan.ops) {
    if (const auto* product = std::get_if<MatMulOp>(&op)) add(product->weight);
    if (const auto* product = std::get_if<HeadMatMulOp>(&op)) add(product->weight);
    if (const auto* embed = std::get_if<EmbedOp>(&op)) add(embed->table);
    if (const auto* experts = std::get_if<ExpertsOp>(&op)) {
      for (const WeightId id : {experts->gate, experts->up, experts->down}) add(id);
    }
  }
  return changeable;
}

}  // namespace puna::backend
