// Low-rank changes of a plan's weights (LoRA: Hu et al. 2021, arXiv 2106.09685). The weights stay
// as they are; what a change adds to a product is computed beside it, for the rows of the segments
// that ask for it. So one program serves requests with different changes in one batch.
#ifndef PUNA_BACKEND_ADAPTER_H_
#define PUNA_BACKEND_ADAPTER_H_

#include <cstdint>
#include <vector>

#include "backend/plan.h"

namespace puna::backend {

// The weight W[expert] counts as W[expert] + B[expert] * A[expert].
struct LowRankChange {
  WeightId weight = kNoWeight;
  int64_t rank = 0;
  int64_t cols = 0, rows = 0;  // of the weight
  std::vector<float> a;        // [experts][rank][cols]
  std::vector<float> b;        // [experts][rank][rows]: B by columns

  const float* A(int64_t expert, int64_t r) const { return &a[At(expert, r, cols)]; }
  const float* B(int64_t expert, int64_t r) const { return &b[At(expert, r, rows)]; }

 private:
  size_t At(int64_t expert, int64_t r, int64_t width) const {
    return static_cast<size_t>((expert * rank + r) * width);
  }
};

// The changes of one adapter, fit for one plan. Weights that a MatMulOp, a HeadMatMulOp, an
// ExpertsOp or an EmbedOp reads can be changed (ChangeableWeights). Immutable; belongs to the
// caller of Program::Run.
struct Adapter {
  std::vector<LowRankChange> changes;  // at most one per weight
  std::vector<int> by_weight;          // [weights of the plan]: index into `changes`; -1: none

  const LowRankChange* Find(WeightId weight) const {
    const int index = weight == kNoWeight ? -1 : by_weight[static_cast<size_t>(weight)];
    return index < 0 ? nullptr : &changes[static_cast<size_t>(index)];
  }
  int64_t max_rank() const;
  int64_t bytes() const;
};

// An adapter at some strength: its changes count `scale` times.
struct AppliedAdapter {
  const Adapter* adapter = nullptr;
  float scale = 1;
};

// [weights of the plan]: may an adapter change the weight?
std::vector<bool> ChangeableWeights(const Plan& plan);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_ADAPTER_H_
