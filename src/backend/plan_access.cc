#include "backend/plan_access.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <map>
#include <set>

namespace puna::backend {
namespace {

struct Visitor {
  OpAccess operator()(const EmbedOp& op) const { return {{}, {op.out}}; }
  OpAccess operator()(const AddRowOp& op) const { return {{op.inout}, {op.inout}}; }
  OpAccess operator()(const NormOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const MatMulOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const RopeOp& op) const { return {{op.inout}, {op.inout}}; }
  OpAccess operator()(const AttentionOp& op) const {
    OpAccess access{{op.q}, {op.out}};
    if (op.k.buffer >= 0) access.reads.push_back(op.k);
    if (op.v.buffer >= 0) access.reads.push_back(op.v);
    return access;
  }
  OpAccess operator()(const UnaryOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const GatedOp& op) const { return {{op.gate, op.up}, {op.out}}; }
  OpAccess operator()(const AddOp& op) const { return {{op.a, op.b}, {op.out}}; }
  OpAccess operator()(const MulOp& op) const { return {{op.a, op.b}, {op.out}}; }
  OpAccess operator()(const AffineOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const ConvolutionOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const ScanOp& op) const { return {{op.x, op.dt, op.b, op.c}, {op.out}}; }
  OpAccess operator()(const DeltaOp& op) const {
    return {{op.q, op.k, op.v, op.decay, op.beta}, {op.out}};
  }
  OpAccess operator()(const WkvOp& op) const {
    OpAccess access{{op.r, op.w, op.k, op.v}, {op.out}};
    if (op.erase.buffer >= 0) access.reads.insert(access.reads.end(), {op.erase, op.write});
    return access;
  }
  OpAccess operator()(const ScaleOp& op) const { return {{op.inout}, {op.inout}}; }
  OpAccess operator()(const RouteOp& op) const { return {{op.logits}, {}}; }
  OpAccess operator()(const ExpertsOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const SelectRowsOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const PoolOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const HeadMatMulOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const CopyHeadsOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const PositionScaleOp& op) const { return {{op.inout}, {op.inout}}; }
  OpAccess operator()(const StoreOp& op) const { return {{op.k, op.v}, {}}; }
  OpAccess operator()(const DetourOp& op) const { return {{op.in}, {op.out}}; }
  OpAccess operator()(const IndexOp& op) const { return {{op.q, op.k, op.weights}, {}}; }
  OpAccess operator()(const XieluOp& op) const { return {{op.inout}, {op.inout}}; }
  OpAccess operator()(const MixOp& op) const { return {{op.in, op.weights}, {op.out}}; }
  OpAccess operator()(const MatchLengthOp& op) const { return {{op.inout, op.like}, {op.inout}}; }
  OpAccess operator()(const CutBelowOp& op) const { return {{op.inout}, {op.inout}}; }
  OpAccess operator()(const SoftmaxOp& op) const { return {{op.inout}, {op.inout}}; }
};

}  // namespace

OpAccess AccessOf(const Op& op) { return std::visit(Visitor{}, op); }

std::vector<WeightId> WeightsOf(const Op& op) {
  std::vector<WeightId> weights;
  const auto add = [&](std::initializer_list<WeightId> ids) {
    std::copy_if(ids.begin(), ids.end(), std::back_inserter(weights),
                 [](WeightId id) { return id != kNoWeight; });
  };
  std::visit(
      [&](const auto& typed) {
        if constexpr (requires { typed.table; }) add({typed.table});
        if constexpr (requires { typed.weight; }) add({typed.weight});
        if constexpr (requires { typed.bias; }) add({typed.bias});
        if constexpr (requires { typed.sinks; }) add({typed.sinks, typed.position_bias});
        if constexpr (requires { typed.skip; }) add({typed.decay, typed.skip});
        if constexpr (requires { typed.rate; }) add({typed.rate});
        if constexpr (requires { typed.bonus; }) add({typed.bonus});
        if constexpr (requires { typed.selection_bias; })
          add({typed.selection_bias, typed.expert_scale});
        if constexpr (requires { typed.down; })
          add({typed.gate, typed.up, typed.down, typed.gate_bias, typed.up_bias, typed.down_bias});
      },
      op);
  return weights;
}

bool Overlap(const View& a, const View& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.width && b.offset < a.offset + a.width;
}

bool OverlapsAny(const View& view, const std::vector<View>& others) {
  return std::any_of(others.begin(), others.end(),
                     [&](const View& other) { return Overlap(view, other); });
}

int64_t FileBytes(const Plan& plan) {
  std::map<const uint8_t*, int64_t> by_place;
  for (const Weight& weight : plan.weights) {
    int64_t& bytes = by_place[weight.data];
    bytes = std::max(bytes, weight.experts * weight.rows * weight.RowBytes());
  }
  int64_t sum = 0;
  for (const auto& [place, bytes] : by_place) sum += bytes;
  return sum;
}

void ShrinkUnused(Plan* plan) {
  std::set<int> used = {plan->output.buffer, plan->input.buffer};
  for (const Op& op : plan->ops) {
    const OpAccess access = AccessOf(op);
    for (const auto* views : {&access.reads, &access.writes}) {
      for (const View& view : *views) used.insert(view.buffer);
    }
  }
  for (size_t i = 0; i < plan->buffer_widths.size(); ++i) {
    if (!used.contains(static_cast<int>(i))) plan->buffer_widths[i] = 1;
  }
  std::set<WeightId> weights;
  for (const Op& op : plan->ops) {
    for (const WeightId id : WeightsOf(op)) weights.insert(id);
  }
  for (size_t i = 0; i < plan->weights.size(); ++i) {
    if (!weights.contains(static_cast<WeightId>(i)))
      plan->weights[i].rows = plan->weights[i].experts = 1;
  }
}

}  // namespace puna::backend
