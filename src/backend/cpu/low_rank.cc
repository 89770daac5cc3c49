#include "backend/cpu/low_rank.h"

#include <algorithm>

#include "backend/cpu/vector_ops.h"

namespace puna::backend::cpu {

bool Changes(const Pass& pass, WeightId weight) {
  if (pass.low_rank.slot_floats == 0) return false;
  for (const Segment& segment : pass.batch->segments) {
    for (const AppliedAdapter& applied : segment.adapters) {
      if (applied.adapter->Find(weight) != nullptr) return true;
    }
  }
  return false;
}

void ReduceRow(const Pass& pass, const Segment& segment, WeightId weight, int64_t expert,
               const float* in, float scale, float* slot) {
  for (const AppliedAdapter& applied : segment.adapters) {
    const LowRankChange* change = applied.adapter->Find(weight);
    if (change == nullptr) continue;
    for (int64_t r = 0; r < change->rank; ++r)
      *slot++ = scale * applied.scale * pass.ops->dot(in, change->A(expert, r), change->cols);
  }
}

void ExpandRow(const Pass& pass, const Segment& segment, WeightId weight, int64_t expert,
               const float* slot, int64_t begin, int64_t end, float* out) {
  for (const AppliedAdapter& applied : segment.adapters) {
    const LowRankChange* change = applied.adapter->Find(weight);
    if (change == nullptr) continue;
    for (int64_t r = 0; r < change->rank; ++r) {
      pass.ops->add(out + begin, change->B(expert, r) + begin, *slot++, end - begin, out + begin);
    }
  }
}

void AddChangedRow(const Pass& pass, const Segment& segment, WeightId weight, int64_t weight_row,
                   float* out) {
  for (const AppliedAdapter& applied : segment.adapters) {
    const LowRankChange* change = applied.adapter->Find(weight);
    if (change == nullptr) continue;
    for (int64_t r = 0; r < change->rank; ++r) {
      pass.ops->add(out, change->A(0, r), applied.scale * change->B(0, r)[weight_row], change->cols,
                    out);
    }
  }
}

int64_t LowRankSlotFloats(const Batch& batch) {
  int64_t most = 0;
  for (const Segment& segment : batch.segments) {
    int64_t floats = 0;
    for (const AppliedAdapter& applied : segment.adapters) floats += applied.adapter->max_rank();
    most = std::max(most, floats);
  }
  return most;
}

}  // namespace puna::backend::cpu
