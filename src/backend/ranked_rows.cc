#include "backend/ranked_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace puna::backend {

std::vector<int32_t> ComputedRows(const Batch& batch) {
  std::vector<int32_t> rows(batch.output_rows.begin(), batch.output_rows.end());
  for (const RankedRow& ranked : batch.ranked_rows) rows.push_back(ranked.row);
  std::inplace_merge(rows.begin(),
                     rows.begin() + static_cast<std::ptrdiff_t>(batch.output_rows.size()),
                     rows.end());
  return rows;
}

void RankCandidates(std::span<const float> values, std::span<const int32_t> columns,
                    const RankedRow& to) {
  CHECK(values.size() == columns.size());
  std::vector<size_t> order;
  for (size_t i = 0; i < values.size(); ++i) {
    if (columns[i] >= 0 && std::isfinite(values[i])) order.push_back(i);
  }
  const size_t count = std::min(order.size(), to.values.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](size_t a, size_t b) {
                      return values[a] != values[b] ? values[a] > values[b]
                                                    : columns[a] < columns[b];
                    });
  for (size_t i = 0; i < count; ++i) {
    to.values[i] = values[order[i]];
    to.columns[i] = columns[order[i]];
  }
  std::fill(to.values.begin() + static_cast<std::ptrdiff_t>(count), to.values.end(),
            -std::numeric_limits<float>::infinity());
  std::fill(to.columns.begin() + static_cast<std::ptrdiff_t>(count), to.columns.end(), -1);
}

void RankRow(std::span<const float> row, const RankedRow& to) {
  std::vector<int32_t> columns(row.size());
  std::iota(columns.begin(), columns.end(), 0);
  RankCandidates(row, columns, to);
}

}  // namespace puna::backend
