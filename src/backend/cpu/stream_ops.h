// Ops over whole rows that only a few networks have, as RowOps.
#ifndef PUNA_BACKEND_CPU_STREAM_OPS_H_
#define PUNA_BACKEND_CPU_STREAM_OPS_H_

#include <memory>

#include "backend/cpu/cpu_step.h"
#include "backend/plan.h"

namespace puna::backend::cpu {

std::unique_ptr<RowOp> MakeStreamOp(const XieluOp& op);
std::unique_ptr<RowOp> MakeStreamOp(const MixOp& op);
std::unique_ptr<RowOp> MakeStreamOp(const MatchLengthOp& op);
std::unique_ptr<RowOp> MakeStreamOp(const CutBelowOp& op);
std::unique_ptr<RowOp> MakeStreamOp(const SoftmaxOp& op);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_STREAM_OPS_H_
