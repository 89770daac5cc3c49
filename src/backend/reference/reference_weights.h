// Weights as float32 rows, for the reference backend.
#ifndef PUNA_BACKEND_REFERENCE_REFERENCE_WEIGHTS_H_
#define PUNA_BACKEND_REFERENCE_REFERENCE_WEIGHTS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace puna::backend::reference {

// Bytes that a WeightTable of `plan` will take.
int64_t DecodedBytes(const Plan& plan);

// Small weights are decoded once, large ones row by row at each use, so that a model of any size
// runs in little memory. Not thread safe (a scratch row); the plan outlives it.
class WeightTable {
 public:
  explicit WeightTable(const Plan& plan) : plan_(plan), decoded_(plan.weights.size()) {}
  // Decodes the small ones. kCancelled if `progress` says so.
  Status Decode(const CompileOptions& options);

  const Weight& at(WeightId id) const { return plan_.weights[static_cast<size_t>(id)]; }
  // The values of one row, valid until the next call.
  std::span<const float> Row(WeightId id, int64_t expert, int64_t row);
  // A vector (rows = 1), copied; empty if id is kNoWeight.
  std::vector<float> Vector(WeightId id, int64_t expert = 0);

 private:
  const Plan& plan_;
  std::vector<std::vector<float>> decoded_;
  std::vector<float> scratch_;
};

}  // namespace puna::backend::reference

#endif  // PUNA_BACKEND_REFERENCE_REFERENCE_WEIGHTS_H_
