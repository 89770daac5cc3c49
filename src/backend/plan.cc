#include "backend/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>

namespace puna::backend {

const char* OpName(const Op& op) {
  static constexpr const char* kNames[] = {
      "embed",   "add_row",     "norm", "matmul",       "rope",       "attention",
      "unary",   "gated",       "add",  "mul",          "scale",      "route",
      "experts", "select_rows", "pool", "head_matmul",  "copy_heads", "position_scale",
      "index",   "xielu",       "mix",  "match_length", "cut_below",  "softmax",
      "affine",  "convolution", "scan", "delta",        "wkv",        "store",
      "detour"};
  static_assert(std::size(kNames) == std::variant_size_v<Op>);
  return kNames[op.index()];
}

// In float where the peers compute in float, so that distances at the edge of a row fall on the
// same side.
int64_t RelativeBucket(int64_t distance, int64_t buckets, bool both_sides) {
  constexpr double kMaxDistance = 128;
  int64_t first = 0;
  if (both_sides) {
    buckets /= 2;
    if (distance > 0) first = buckets;
    distance = std::abs(distance);
  } else {
    distance = std::max<int64_t>(-distance, 0);
  }
  const int64_t exact = buckets / 2;
  if (distance < exact) return first + distance;
  const double start = static_cast<double>(exact);
  const float growth = std::log(static_cast<float>(static_cast<double>(distance) / start));
  const float rows = static_cast<float>(buckets - exact);
  const double beyond = growth * rows / std::log(kMaxDistance / start);
  const auto row = static_cast<int64_t>(std::floor(static_cast<float>(start + beyond)));
  return first + std::min(row, buckets - 1);
}

}  // namespace puna::backend
