// What of a plan's buffers holds values that are still read: walking backwards, an op ends the life
// of what it writes and begins that of what it reads.
#ifndef PUNA_BACKEND_PLAN_LIVENESS_H_
#define PUNA_BACKEND_PLAN_LIVENESS_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "backend/plan.h"

namespace puna::backend {

// Columns of one buffer as [begin, end), apart from each other.
class Columns {
 public:
  void Add(int64_t begin, int64_t end);
  void Remove(int64_t begin, int64_t end);
  const std::map<int64_t, int64_t>& ranges() const { return ranges_; }

 private:
  std::map<int64_t, int64_t> ranges_;
};

// What is live before the ops that were walked over, from the end of the plan on.
class Liveness {
 public:
  // The plan must outlive it.
  explicit Liveness(const Plan* plan) : plan_(plan) { Read(plan->output); }

  void StepOver(const Op& op);

  // Neither routes nor selections.
  bool only_views() const { return routes_.empty() && selections_.empty(); }
  std::vector<View> views() const;

 private:
  void Read(const View& view) { live_[view.buffer].Add(view.offset, view.offset + view.width); }
  void Write(const View& view) { live_[view.buffer].Remove(view.offset, view.offset + view.width); }

  const Plan* plan_;
  std::map<int, Columns> live_;
  std::set<int> routes_, selections_;
};

}  // namespace puna::backend

#endif  // PUNA_BACKEND_PLAN_LIVENESS_H_
