// What crosses a border is what is live there.
#include "backend/plan_split.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "backend/plan_access.h"
#include "backend/plan_liveness.h"

namespace puna::backend {
namespace {

// Where an op keeps its cache layer, or its state layer; null: it has none.
int* CacheOf(Op* op) {
  return std::visit(
      [](auto& typed) -> int* {
        if constexpr (requires { typed.cache; }) {
          if (typed.cache >= 0) return &typed.cache;
        }
        return nullptr;
      },
      *op);
}
int* StateOf(Op* op) {
  return std::visit(
      [](auto& typed) -> int* {
        if constexpr (requires { typed.state; }) {
          if (typed.state >= 0) return &typed.state;
        }
        return nullptr;
      },
      *op);
}

// A convolution stands before another recurrent op of its layer, or is a layer by itself; counting
// the others alone is near enough.
bool IsMixer(const Op& op) {
  return std::holds_alternative<AttentionOp>(op) || std::holds_alternative<ScanOp>(op) ||
         std::holds_alternative<DeltaOp>(op) || std::holds_alternative<WkvOp>(op);
}

bool IsLookup(const Op& op) {
  return std::holds_alternative<EmbedOp>(op) || std::holds_alternative<AddRowOp>(op);
}

bool ChangesRows(const Op& op) {
  return std::holds_alternative<SelectRowsOp>(op) || std::holds_alternative<PoolOp>(op);
}

// Marks the borders that have uses of one layer on both sides.
void MarkShared(const Plan& plan, int* (*layer_of)(Op*), std::vector<bool>* shared) {
  std::map<int, size_t> first_use;
  for (size_t i = 0; i < plan.ops.size(); ++i) {
    Op op = plan.ops[i];
    const int* layer = layer_of(&op);
    if (layer == nullptr) continue;
    const size_t first = first_use.try_emplace(*layer, i).first->second;
    for (size_t border = first + 1; border <= i; ++border) (*shared)[border] = true;
  }
}

int64_t WidthOf(const std::vector<View>& views) {
  int64_t width = 0;
  for (const View& view : views) width += view.width;
  return width;
}

// Gives the ops layers of their own, in the order in which they name them.
template <typename Layer>
void Renumber(Plan* part, int* (*layer_of)(Op*), std::vector<Layer>* layers) {
  std::map<int, int> numbers;
  std::vector<Layer> own;
  for (Op& op : part->ops) {
    int* layer = layer_of(&op);
    if (layer == nullptr) continue;
    const auto [entry, added] = numbers.try_emplace(*layer, static_cast<int>(own.size()));
    if (added) own.push_back((*layers)[static_cast<size_t>(*layer)]);
    *layer = entry->second;
  }
  *layers = std::move(own);
}

// The matrix that holds `views` side by side, and the ops that put them there or take them out.
View Gather(const std::vector<View>& views, bool out_of, Plan* part, std::vector<Op>* ops) {
  if (views.size() == 1) return views[0];
  const View all{static_cast<int>(part->buffer_widths.size()), 0, WidthOf(views)};
  part->buffer_widths.push_back(all.width);
  int64_t offset = 0;
  for (const View& view : views) {
    const View place{all.buffer, offset, view.width};
    ops->push_back(CopyHeadsOp{out_of ? place : view, out_of ? view : place, 1, view.width,
                               view.width, view.width});
    offset += view.width;
  }
  return all;
}

// The ops from `begin` (null: the first) up to `end` (null: to the last).
Plan PartOf(const Plan& plan, const PlanCut* begin, const PlanCut* end) {
  Plan part = plan;
  std::vector<Op> ops;
  if (begin != nullptr) part.input = Gather(begin->crossing, /*out_of=*/true, &part, &ops);
  const size_t first = begin != nullptr ? begin->op : 0;
  const size_t last = end != nullptr ? end->op : plan.ops.size();
  ops.insert(ops.end(), plan.ops.begin() + static_cast<std::ptrdiff_t>(first),
             plan.ops.begin() + static_cast<std::ptrdiff_t>(last));
  if (end != nullptr) {
    part.output = Gather(end->crossing, /*out_of=*/false, &part, &ops);
    part.pooled = false;
  }
  part.ops = std::move(ops);
  Renumber(&part, CacheOf, &part.cache_layers);
  Renumber(&part, StateOf, &part.state_layers);
  ShrinkUnused(&part);
  return part;
}

}  // namespace

int64_t CountLayers(const Plan& plan) {
  return std::count_if(plan.ops.begin(), plan.ops.end(), IsMixer);
}

std::vector<std::optional<PlanCut>> FindCuts(const Plan& plan) {
  const auto layers = static_cast<size_t>(CountLayers(plan));
  std::vector<std::optional<PlanCut>> cuts(layers + 1);
  if (plan.encoder_ops > 0) return cuts;
  std::vector<bool> shared(plan.ops.size() + 1);
  MarkShared(plan, CacheOf, &shared);
  MarkShared(plan, StateOf, &shared);
  const auto changes = std::find_if(plan.ops.begin(), plan.ops.end(), ChangesRows);
  const auto last_border = static_cast<size_t>(changes - plan.ops.begin());
  Liveness live(&plan);
  size_t behind = 0;
  for (size_t i = plan.ops.size(); i-- > 0;) {
    live.StepOver(plan.ops[i]);
    behind += IsMixer(plan.ops[i]) ? 1 : 0;
    if (behind == 0 || i > last_border || shared[i] || !live.only_views()) continue;
    std::vector<View> views = live.views();
    std::optional<PlanCut>& best = cuts[behind];
    if (views.empty()) continue;
    if (behind == layers && (best || i == 0 || !IsLookup(plan.ops[i - 1]))) continue;
    if (!best || WidthOf(views) < WidthOf(best->crossing)) best = {i, std::move(views)};
  }
  return cuts;
}

std::vector<Plan> SplitPlan(const Plan& plan, std::span<const PlanCut> cuts) {
  std::vector<Plan> parts;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    parts.push_back(
        PartOf(plan, i > 0 ? &cuts[i - 1] : nullptr, i < cuts.size() ? &cuts[i] : nullptr));
  }
  return parts;
}

}  // namespace puna::backend
