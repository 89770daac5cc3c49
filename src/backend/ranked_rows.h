// What programs need that give ranked rows (backend.h).
#ifndef PUNA_BACKEND_RANKED_ROWS_H_
#define PUNA_BACKEND_RANKED_ROWS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace puna::backend {

// Output rows and ranked rows together, ascending.
std::vector<int32_t> ComputedRows(const Batch& batch);

// Fills `to` from all candidates of its row, which are in no particular order: columns[i] has
// values[i], and those below 0 do not count. The slow twin of what devices do.
void RankCandidates(std::span<const float> values, std::span<const int32_t> columns,
                    const RankedRow& to);
// The same from the whole row.
void RankRow(std::span<const float> row, const RankedRow& to);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_RANKED_ROWS_H_
