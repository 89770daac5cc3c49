// What adapters add to matrix products. Two stages around a product out = W * in: the narrow one
// brings a row of the input down to a few values per adapter, once; the wide one adds them up again
// on whatever columns of the output a worker has just computed, before anything reads these.
#ifndef PUNA_BACKEND_CPU_LOW_RANK_H_
#define PUNA_BACKEND_CPU_LOW_RANK_H_

#include "backend/cpu/cpu_step.h"

namespace puna::backend::cpu {

// Does any adapter of the pass change the weight?
bool Changes(const Pass& pass, WeightId weight);

// Narrow values of `in`, for all adapters of `segment` that change the weight, times `scale`.
void ReduceRow(const Pass& pass, const Segment& segment, WeightId weight, int64_t expert,
               const float* in, float scale, float* slot);
// out[begin, end) += the changes of the segment's adapters. `out` is the row's column 0.
void ExpandRow(const Pass& pass, const Segment& segment, WeightId weight, int64_t expert,
               const float* slot, int64_t begin, int64_t end, float* out);
// out += the changes of row `weight_row` of the weight.
void AddChangedRow(const Pass& pass, const Segment& segment, WeightId weight, int64_t weight_row,
                   float* out);

// Floats of a slot: the sum of the ranks of a segment's adapters, at most.
int64_t LowRankSlotFloats(const Batch& batch);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_LOW_RANK_H_
