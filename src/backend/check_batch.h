// The rules of a batch (backend.h), for the programs of all backends.
#ifndef PUNA_BACKEND_CHECK_BATCH_H_
#define PUNA_BACKEND_CHECK_BATCH_H_

#include "backend/backend.h"
#include "backend/plan.h"

namespace puna::backend {

// A CHECK if the batch breaks a rule. `options`: as the program was compiled; `most_ranked`: as the
// program says.
void CheckBatch(const Plan& plan, const CompileOptions& options, const Batch& batch,
                int64_t most_ranked = 0);

// Rows that a pass writes whole outputs for.
int64_t OutputRows(const Plan& plan, const Batch& batch);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_CHECK_BATCH_H_
