// The ops of a plan that look at one row at a time, as RowOps.
#ifndef PUNA_BACKEND_CPU_ROW_OPS_H_
#define PUNA_BACKEND_CPU_ROW_OPS_H_

#include <memory>

#include "backend/cpu/cpu_step.h"
#include "backend/cpu/weight_store.h"
#include "backend/plan.h"
#include "base/result.h"

namespace puna::backend::cpu {

// What making a RowOp needs to know of the program.
struct RowOpContext {
  const Plan* plan = nullptr;
  WeightStore* weights = nullptr;
  RowKind rows = RowKind::kTokens;
  // Index into Pass::rope_tables of a table with these frequencies.
  int (*rope_table)(void* program, const RopeOp& op) = nullptr;
  void* program = nullptr;
};

// Null for the ops that are no RowOps: MatMulOp, HeadMatMulOp, AttentionOp, IndexOp, ExpertsOp and
// the recurrent ones.
Result<std::unique_ptr<RowOp>> MakeRowOp(const Op& op, const RowOpContext& context);

// A loop over blocks of rows on its own.
std::unique_ptr<Step> MakeRowStep(RowOps ops, RowKind rows, bool one_block);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_ROW_OPS_H_
