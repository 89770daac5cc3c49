// The choice of experts goes with them: what a route holds is no view, and the router's logits are
// few numbers. They are copied where the RouteOp stood, because their buffer may be another layer's
// by the time the experts are computed.
#include "backend/experts_split.h"

#include <map>
#include <set>
#include <variant>

#include "backend/plan_access.h"

namespace puna::backend {
namespace {

// An ExpertsOp and the RouteOp before it.
struct Mixture {
  size_t route = 0, experts = 0;
};

bool ChangesRows(const Op& op) {
  return std::holds_alternative<SelectRowsOp>(op) || std::holds_alternative<PoolOp>(op);
}

// In the order of the plan.
std::vector<Mixture> FindMixtures(const Plan& plan) {
  std::vector<Mixture> mixtures;
  if (plan.encoder_ops > 0) return mixtures;
  std::map<int, size_t> routes;
  bool pooled = false;
  for (size_t i = 0; i < plan.ops.size(); ++i) {
    if (ChangesRows(plan.ops[i])) routes.clear();  // what is chosen is of other rows
    pooled = pooled || std::holds_alternative<PoolOp>(plan.ops[i]);
    if (const auto* route = std::get_if<RouteOp>(&plan.ops[i])) routes[route->route] = i;
    const auto* experts = std::get_if<ExpertsOp>(&plan.ops[i]);
    if (experts == nullptr || pooled) continue;
    const auto route = routes.find(experts->route);
    if (route != routes.end()) mixtures.push_back({route->second, i});
  }
  return mixtures;
}

Op CopyOf(const View& from, const View& to) {
  return CopyHeadsOp{from, to, 1, from.width, from.width, from.width};
}

// The plan of a mixture alone.
Plan PlanOf(const Plan& plan, RouteOp route, ExpertsOp experts) {
  Plan own;
  own.weights = plan.weights;
  const int64_t logits = route.logits.width, in = experts.in.width, out = experts.out.width;
  own.buffer_widths = {logits + in, out};
  own.input = {0, 0, logits + in};
  own.output = {1, 0, out};
  route.logits = {0, 0, logits};
  experts.in = {0, logits, in};
  experts.out = own.output;
  route.route = experts.route = 0;
  own.routes = 1;
  own.ops = {route, experts};
  own.vocabulary = plan.vocabulary;
  own.owner = plan.owner;
  ShrinkUnused(&own);
  return own;
}

// Buffers for the inputs of detours, used again where they are free.
class Inputs {
 public:
  explicit Inputs(Plan* plan) : plan_(plan) {}
  View Take(int64_t width) {
    if (const auto free = free_.find(width); free != free_.end()) {
      const View view{free->second, 0, width};
      free_.erase(free);
      return view;
    }
    plan_->buffer_widths.push_back(width);
    return {static_cast<int>(plan_->buffer_widths.size()) - 1, 0, width};
  }
  void GiveBack(const View& view) { free_.emplace(view.width, view.buffer); }

 private:
  Plan* plan_;
  std::multimap<int64_t, int> free_;
};

}  // namespace

int64_t CountExperts(const Plan& plan) { return static_cast<int64_t>(FindMixtures(plan).size()); }

ExpertsApart TakeExpertsApart(const Plan& plan, int64_t count) {
  std::vector<Mixture> taken = FindMixtures(plan);
  std::set<size_t> kept_routes;
  for (size_t i = static_cast<size_t>(count); i < taken.size(); ++i)
    kept_routes.insert(taken[i].route);
  taken.resize(static_cast<size_t>(count));
  ExpertsApart result{.plan = plan, .experts = {}};
  std::vector<Op> ops;
  Inputs inputs(&result.plan);
  std::map<size_t, View> input_of;  // by ExpertsOp
  size_t next = 0;                  // of `taken`, by their ExpertsOp
  for (size_t i = 0; i < plan.ops.size(); ++i) {
    if (const auto* route = std::get_if<RouteOp>(&plan.ops[i])) {
      bool goes = false;
      for (const Mixture& mixture : taken) {
        if (mixture.route != i) continue;
        goes = true;
        const auto& experts = std::get<ExpertsOp>(plan.ops[mixture.experts]);
        const View input = inputs.Take(route->logits.width + experts.in.width);
        ops.push_back(CopyOf(route->logits, {input.buffer, 0, route->logits.width}));
        input_of[mixture.experts] = input;
      }
      if (!goes || kept_routes.contains(i)) ops.push_back(plan.ops[i]);
      continue;
    }
    if (next == taken.size() || taken[next].experts != i) {
      ops.push_back(plan.ops[i]);
      continue;
    }
    const auto& route = std::get<RouteOp>(plan.ops[taken[next].route]);
    const auto& experts = std::get<ExpertsOp>(plan.ops[i]);
    const View input = input_of[i];
    ops.push_back(CopyOf(experts.in, {input.buffer, route.logits.width, experts.in.width}));
    ops.push_back(DetourOp{input, experts.out, static_cast<int>(next)});
    inputs.GiveBack(input);
    result.experts.push_back(PlanOf(plan, route, experts));
    ++next;
  }
  result.plan.ops = std::move(ops);
  ShrinkUnused(&result.plan);
  return result;
}

}  // namespace puna::backend
