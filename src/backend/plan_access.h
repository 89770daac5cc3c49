// What an op of a plan reads and writes, for deciding which ops may be joined.
#ifndef PUNA_BACKEND_PLAN_ACCESS_H_
#define PUNA_BACKEND_PLAN_ACCESS_H_

#include <cstdint>
#include <vector>

#include "backend/plan.h"

namespace puna::backend {

struct OpAccess {
  std::vector<View> reads;
  std::vector<View> writes;  // all ops but attention write one view
};
OpAccess AccessOf(const Op& op);
// The weights that an op has.
std::vector<WeightId> WeightsOf(const Op& op);
// Bytes of all distinct weights, as they are in the file.
int64_t FileBytes(const Plan& plan);
// Buffers and weights that no op of the plan touches become as small as they may be: a backend may
// make room for all that a plan has. Their numbers stay.
void ShrinkUnused(Plan* plan);

bool Overlap(const View& a, const View& b);
bool OverlapsAny(const View& view, const std::vector<View>& others);
inline bool Same(const View& a, const View& b) {
  return a.buffer == b.buffer && a.offset == b.offset && a.width == b.width;
}

}  // namespace puna::backend

#endif  // PUNA_BACKEND_PLAN_ACCESS_H_
