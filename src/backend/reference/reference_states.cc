#include "backend/reference/reference_states.h"

#include <algorithm>

#include "base/check.h"

namespace puna::backend::reference {

StateSlots::StateSlots(const Plan& plan, int64_t slots) : slots_(static_cast<size_t>(slots)) {
  for (const StateLayer& layer : plan.state_layers) {
    offsets_.push_back(values_);
    values_ += layer.values;
  }
  offsets_.push_back(values_);
}

std::span<const float> StateSlots::Read(int layer, int32_t slot) const {
  const std::vector<float>& values = slots_[static_cast<size_t>(slot)];
  CHECK(!values.empty()) << "state slot " << slot << " was never written";
  const int64_t begin = offsets_[static_cast<size_t>(layer)];
  const int64_t end = offsets_[static_cast<size_t>(layer) + 1];
  return std::span(values).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

std::span<float> StateSlots::Write(int layer, int32_t slot) {
  slots_[static_cast<size_t>(slot)].resize(static_cast<size_t>(values_));
  const std::span<const float> values = Read(layer, slot);
  return {const_cast<float*>(values.data()), values.size()};
}

void Recur(StateSlots* slots, int layer, const Segment& segment, int64_t values,
           const std::function<void(int64_t row, std::span<float> state)>& step) {
  std::vector<float> state(static_cast<size_t>(values), 0.0f);
  if (layer >= 0 && segment.start_position > 0) {
    const std::span<const float> before = slots->Read(layer, segment.state);
    std::copy(before.begin(), before.end(), state.begin());
  }
  size_t next_write = 0;
  for (int64_t i = 0; i < segment.tokens; ++i) {
    step(segment.first_row + i, state);
    if (layer < 0 || next_write == segment.state_writes.size()) continue;
    const StateWrite& write = segment.state_writes[next_write];
    if (write.tokens != i + 1) continue;
    std::copy(state.begin(), state.end(), slots->Write(layer, write.slot).begin());
    ++next_write;
  }
}

}  // namespace puna::backend::reference
