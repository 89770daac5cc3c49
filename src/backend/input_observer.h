// Statistics of what meets the weights of a plan: a backend that tells an observer the input of
// every matrix product. For measuring; it costs a barrier per product.
#ifndef PUNA_BACKEND_INPUT_OBSERVER_H_
#define PUNA_BACKEND_INPUT_OBSERVER_H_

#include <cstdint>
#include <memory>

#include "backend/backend.h"
#include "base/result.h"

namespace puna::backend {

// Rows of `width` values, `stride` apart, each value to be multiplied by `scale`.
struct ObservedRows {
  const float* values = nullptr;
  int64_t count = 0, width = 0, stride = 0;
  float scale = 1;
};

class InputObserver {
 public:
  virtual ~InputObserver() = default;
  // These rows are about to be multiplied by matrix `expert` of the weight of the plan that runs
  // (0 where there is only one). Every product of MatMulOp, HeadMatMulOp and ExpertsOp is told,
  // row by row or many at once, in no certain order. Called by one thread at a time.
  virtual void Observe(WeightId weight, int64_t expert, const ObservedRows& rows) = 0;
};

// As CreateBackend, but for GPUs (kUnsupported). `observer` must outlive the backend's programs.
Result<std::unique_ptr<Backend>> CreateObservedBackend(const BackendOptions& options,
                                                       InputObserver* observer);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_INPUT_OBSERVER_H_
