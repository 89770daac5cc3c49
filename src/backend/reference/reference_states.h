// The states of recurrent layers of the reference backend.
#ifndef PUNA_BACKEND_REFERENCE_REFERENCE_STATES_H_
#define PUNA_BACKEND_REFERENCE_REFERENCE_STATES_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace puna::backend::reference {

// Slots, each the values of all state layers. Memory is taken when a slot is first written.
class StateSlots {
 public:
  StateSlots(const Plan& plan, int64_t slots);

  int64_t slots() const { return static_cast<int64_t>(slots_.size()); }
  int64_t slot_bytes() const { return values_ * static_cast<int64_t>(sizeof(float)); }
  // REQUIRES: the slot was written.
  std::span<const float> Read(int layer, int32_t slot) const;
  std::span<float> Write(int layer, int32_t slot);

 private:
  std::vector<int64_t> offsets_;  // of each layer, and the end of the last one
  int64_t values_ = 0;
  std::vector<std::vector<float>> slots_;
};

// Walks through the tokens of a segment with the state of one layer: `step(row, state)` per token
// changes the state and writes the output of that row.
void Recur(StateSlots* slots, int layer, const Segment& segment, int64_t values,
           const std::function<void(int64_t row, std::span<float> state)>& step);

}  // namespace puna::backend::reference

#endif  // PUNA_BACKEND_REFERENCE_REFERENCE_STATES_H_
