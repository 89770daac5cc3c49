// One pass of the reference backend: the state that ops share, and one Execute per op kind (a kind
// without one does not compile). The ops are spread over reference_dense.cc,
// reference_attention.cc, reference_recurrent.cc and reference_experts.cc.
#ifndef PUNA_BACKEND_REFERENCE_REFERENCE_OPS_H_
#define PUNA_BACKEND_REFERENCE_REFERENCE_OPS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/input_observer.h"
#include "backend/reference/reference_kv.h"
#include "backend/reference/reference_states.h"
#include "backend/reference/reference_weights.h"

namespace puna::backend::reference {

// The experts of every row: `used` entries a row.
struct Route {
  int64_t used = 0;
  std::vector<int64_t> experts;
  std::vector<float> weights;
};

// Everything that one Run works on.
struct Pass {
  Pass(const Plan& plan, WeightTable* weights, KvPages* pages, StateSlots* states,
       const Batch& batch);

  std::span<float> At(const View& view, int64_t row);
  void Tell(WeightId weight, int64_t expert, std::span<const float> row) const {
    if (observer == nullptr) return;
    const auto width = static_cast<int64_t>(row.size());
    observer->Observe(weight, expert, {row.data(), 1, width, width});
  }
  int64_t position(int64_t token) const { return positions[static_cast<size_t>(token)]; }
  // The adapters of a row, in whichever space the rows are.
  std::span<const AppliedAdapter> AdaptersOf(int64_t row) const {
    return batch.segments[row_segments[static_cast<size_t>(row)]].adapters;
  }

  const Plan& plan;
  WeightTable* weights;
  KvPages* pages;
  StateSlots* states;
  const Batch& batch;
  InputObserver* observer = nullptr;
  const Detour* detour = nullptr;
  Status failure;                           // of a detour
  int64_t rows = 0;                         // tokens, then output rows or segments
  std::vector<std::vector<float>> buffers;  // [tokens, width] each
  std::vector<int64_t> positions;           // [tokens]
  std::vector<size_t> token_segments;       // [tokens]: the segment of each
  std::vector<size_t> row_segments;         // [rows]
  std::vector<Route> routes;
  // By selection slot and token: the chosen positions, ascending.
  std::vector<std::vector<std::vector<int64_t>>> selections;
};

float Activate(Activation activation, double x);

void Execute(const EmbedOp& op, Pass* pass);
void Execute(const AddRowOp& op, Pass* pass);
void Execute(const NormOp& op, Pass* pass);
void Execute(const MatMulOp& op, Pass* pass);
void Execute(const RopeOp& op, Pass* pass);
void Execute(const AttentionOp& op, Pass* pass);
void Execute(const StoreOp& op, Pass* pass);
void Execute(const UnaryOp& op, Pass* pass);
void Execute(const GatedOp& op, Pass* pass);
void Execute(const AddOp& op, Pass* pass);
void Execute(const MulOp& op, Pass* pass);
void Execute(const AffineOp& op, Pass* pass);
void Execute(const ScaleOp& op, Pass* pass);
void Execute(const ConvolutionOp& op, Pass* pass);
void Execute(const ScanOp& op, Pass* pass);
void Execute(const DeltaOp& op, Pass* pass);
void Execute(const WkvOp& op, Pass* pass);
void Execute(const RouteOp& op, Pass* pass);
void Execute(const ExpertsOp& op, Pass* pass);
void Execute(const DetourOp& op, Pass* pass);
void Execute(const SelectRowsOp& op, Pass* pass);
void Execute(const PoolOp& op, Pass* pass);
void Execute(const HeadMatMulOp& op, Pass* pass);
void Execute(const CopyHeadsOp& op, Pass* pass);
void Execute(const PositionScaleOp& op, Pass* pass);
void Execute(const IndexOp& op, Pass* pass);
void Execute(const XieluOp& op, Pass* pass);
void Execute(const MixOp& op, Pass* pass);
void Execute(const MatchLengthOp& op, Pass* pass);
void Execute(const CutBelowOp& op, Pass* pass);
void Execute(const SoftmaxOp& op, Pass* pass);

// out += what the adapters of row `row` add to weight * in.
void AddLowRank(const Pass& pass, WeightId weight, int64_t expert, int64_t row,
                std::span<const float> in, std::span<float> out);

// The value of GatedOp and of an expert, for one pair; OpType is either.
template <typename OpType>
float Gate(const OpType& op, double gate, double up) {
  if (op.limit <= 0) return static_cast<float>(Activate(op.activation, gate) * up);
  const double limit = op.limit, clamped_up = std::clamp(up, -limit, limit);
  if (op.clamp_activated) {
    return static_cast<float>(std::min<double>(Activate(op.activation, gate), limit) * clamped_up);
  }
  const double clamped = std::min(gate, limit);
  return static_cast<float>(clamped / (1 + std::exp(-op.alpha * clamped)) * (clamped_up + 1));
}

}  // namespace puna::backend::reference

#endif  // PUNA_BACKEND_REFERENCE_REFERENCE_OPS_H_
