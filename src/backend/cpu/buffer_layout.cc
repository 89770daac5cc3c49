// Two buffers conflict if there is a turn in which both are touched or hold what is read later. The
// widest is placed first, each as low as those allow that it conflicts with. Buffers of a decoder
// take less than half of what they would side by side.
#include "backend/cpu/buffer_layout.h"

#include <algorithm>
#include <numeric>

#include "backend/plan_access.h"
#include "backend/plan_liveness.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// [buffer][buffer], and a buffer with itself if it is used at all.
using Conflicts = std::vector<std::vector<bool>>;

Conflicts FindConflicts(const Plan& plan, const std::vector<std::vector<size_t>>& turns) {
  const size_t count = plan.buffer_widths.size();
  Conflicts conflicts(count, std::vector<bool>(count));
  Liveness live(&plan);
  for (size_t turn = turns.size(); turn-- > 0;) {
    std::vector<size_t> ops = turns[turn];
    std::sort(ops.begin(), ops.end(), std::greater<>());
    std::vector<bool> used(count);
    const auto use = [&](const std::vector<View>& views) {
      for (const View& view : views) used[static_cast<size_t>(view.buffer)] = true;
    };
    use(live.views());
    for (const size_t index : ops) {
      const OpAccess access = AccessOf(plan.ops[index]);
      use(access.reads);
      use(access.writes);
      live.StepOver(plan.ops[index]);
    }
    for (size_t a = 0; a < count; ++a) {
      for (size_t b = 0; used[a] && b < count; ++b) {
        if (used[b]) conflicts[a][b] = true;
      }
    }
  }
  return conflicts;
}

}  // namespace

BufferLayout LayOutBuffers(const Plan& plan, const std::vector<std::vector<size_t>>& turns,
                           int apart) {
  const Conflicts conflicts = FindConflicts(plan, turns);
  const size_t count = plan.buffer_widths.size();
  BufferLayout layout;
  layout.offsets.assign(count, 0);
  // Rows lie an odd number of cache lines apart: at a power of two, all rows of a column would
  // share a few cache sets.
  for (const int64_t width : plan.buffer_widths) layout.strides.push_back(RoundUp(width, 32) + 16);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return layout.strides[a] > layout.strides[b]; });
  for (size_t at = 0; at < count; ++at) {
    const size_t buffer = order[at];
    if (static_cast<int>(buffer) == apart) continue;
    const int64_t size = layout.strides[buffer];
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const size_t other : std::span(order).first(at)) {
      if (static_cast<int>(other) != apart && conflicts[buffer][other])
        taken.emplace_back(layout.offsets[other], layout.offsets[other] + layout.strides[other]);
    }
    std::sort(taken.begin(), taken.end());
    int64_t& offset = layout.offsets[buffer];
    for (const auto& [begin, end] : taken) {
      if (offset + size <= begin) break;
      offset = std::max(offset, end);
    }
    layout.row = std::max(layout.row, offset + size);
  }
  return layout;
}

}  // namespace puna::backend::cpu
