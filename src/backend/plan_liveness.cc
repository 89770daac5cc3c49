#include "backend/plan_liveness.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "backend/plan_access.h"

namespace puna::backend {
namespace {

// The columns that an op writes. Ops on heads leave what is between the heads as it is.
std::vector<View> WrittenBy(const Plan& plan, const Op& op) {
  std::vector<View> heads;
  if (const auto* copy = std::get_if<CopyHeadsOp>(&op)) {
    for (int64_t h = 0; h < copy->heads; ++h)
      heads.push_back({copy->out.buffer, copy->out.offset + h * copy->out_stride, copy->size});
    return heads;
  }
  if (const auto* product = std::get_if<HeadMatMulOp>(&op)) {
    const Weight& weight = plan.weights[static_cast<size_t>(product->weight)];
    for (int64_t h = 0; h < weight.experts; ++h)
      heads.push_back(
          {product->out.buffer, product->out.offset + h * product->out_stride, weight.rows});
    return heads;
  }
  return AccessOf(op).writes;
}

}  // namespace

void Columns::Add(int64_t begin, int64_t end) {
  for (auto it = ranges_.begin(); it != ranges_.end();) {
    if (it->second < begin || end < it->first) {
      ++it;
      continue;
    }
    begin = std::min(begin, it->first);
    end = std::max(end, it->second);
    it = ranges_.erase(it);
  }
  ranges_[begin] = end;
}

void Columns::Remove(int64_t begin, int64_t end) {
  std::map<int64_t, int64_t> left;
  for (const auto& [first, last] : ranges_) {
    if (first < std::min(last, begin)) left[first] = std::min(last, begin);
    if (std::max(first, end) < last) left[std::max(first, end)] = last;
  }
  ranges_ = std::move(left);
}

void Liveness::StepOver(const Op& op) {
  for (const View& view : WrittenBy(*plan_, op)) Write(view);
  if (const auto* route = std::get_if<RouteOp>(&op)) routes_.erase(route->route);
  if (const auto* index = std::get_if<IndexOp>(&op)) selections_.erase(index->selection);
  for (const View& view : AccessOf(op).reads) Read(view);
  if (const auto* experts = std::get_if<ExpertsOp>(&op)) routes_.insert(experts->route);
  if (const auto* attention = std::get_if<AttentionOp>(&op)) {
    if (attention->selection >= 0) selections_.insert(attention->selection);
  }
}

std::vector<View> Liveness::views() const {
  std::vector<View> views;
  for (const auto& [buffer, columns] : live_) {
    for (const auto& [begin, end] : columns.ranges()) views.push_back({buffer, begin, end - begin});
  }
  return views;
}

}  // namespace puna::backend
