// The largest outputs of rows (shaders/rank.comp), level by level until a row is one workgroup's.
#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {
namespace {

constexpr uint32_t kRankThreads = 512;
constexpr int64_t kPiece = int64_t{kRankThreads} * kRankedHeld;

}  // namespace

void PlanCompiler::AddRanking() {
  compiled_.ranks = true;
  RankParams params{.source = MatrixOf(plan_->output),
                    .columns = static_cast<uint>(plan_->output.width)};
  View source = plan_->output;
  for (int64_t count = plan_->output.width; count > 0;) {
    const int64_t pieces = (count + kPiece - 1) / kPiece;
    const bool first = count == plan_->output.width && source.buffer == plan_->output.buffer;
    const bool last = pieces == 1;
    const int64_t found = pieces * kMostRanked;
    params.count = static_cast<uint>(count);
    View result;
    if (!last) {
      // As floats, of which a value and its column take two.
      result = SlotView(NewSlot({.row_floats = 2 * found, .kind = RowKind::kOutputs}), 2 * found);
      params.result_slot = static_cast<uint>(result.buffer);
      params.result_stride = static_cast<uint>(found);
    }
    const uint32_t record = Record(params);
    Step step{.record =
                  [=, x = static_cast<uint32_t>(pieces)](Recorder* to, const PassShape& shape) {
                    const uint32_t constants[] = {kRankThreads, first ? 1u : 0u, last ? 1u : 0u};
                    return to->Dispatch("rank", constants, record, {x, shape.ranked}, 0);
                  },
              .reads = {source},
              .needed = [](const Recorder&, const PassShape& shape) { return shape.ranked > 0; }};
    if (!last) step.writes = {result};
    compiled_.steps.push_back(std::move(step));
    params.source_slot = params.result_slot;
    params.source_stride = params.result_stride;
    source = result;
    count = last ? 0 : found;
  }
}

}  // namespace puna::backend::vulkan
