#include "engine/batch_planner.h"

#include <algorithm>

namespace puna::engine {

std::vector<int64_t> PlanRows(std::span<const int64_t> remaining, int64_t max_rows) {
  std::vector<int64_t> rows(remaining.size(), 0);
  int64_t left = max_rows;
  for (size_t i = 0; i < remaining.size() && left > 0; ++i) {
    if (remaining[i] != 1) continue;
    rows[i] = 1;
    --left;
  }
  for (size_t i = 0; i < remaining.size() && left > 0; ++i) {
    if (remaining[i] <= 1) continue;
    rows[i] = std::min(remaining[i], left);
    left -= rows[i];
  }
  return rows;
}

}  // namespace puna::engine
