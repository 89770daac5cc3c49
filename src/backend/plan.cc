#include "backend/plan.h"

#include <iterator>

namespace puna::backend {

const char* OpName(const Op& op) {
  static constexpr const char* kNames[] = {
      "embed", "add_row", "norm",  "matmul", "rope",    "attention",   "unary", "gated",
      "add",   "mul",     "scale", "route",  "experts", "select_rows", "pool"};
  static_assert(std::size(kNames) == std::variant_size_v<Op>);
  return kNames[op.index()];
}

}  // namespace puna::backend
