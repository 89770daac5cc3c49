// A program is the plan itself: Run walks the op list over fresh float32 buffers. What was
// rejected: double activations between ops, because then no other backend could be compared op by
// op, and float32 is what the recorded outputs used.
#include "backend/reference/reference.h"

#include <algorithm>
#include <utility>

#include "backend/check_batch.h"
#include "backend/ranked_rows.h"
#include "backend/reference/reference_ops.h"
#include "base/check.h"

namespace puna::backend {
namespace reference {

Pass::Pass(const Plan& plan, WeightTable* weights, KvPages* pages, StateSlots* states,
           const Batch& batch)
    : plan(plan),
      weights(weights),
      pages(pages),
      states(states),
      batch(batch),
      rows(static_cast<int64_t>(batch.tokens.size())) {
  // Output rows and segments are never more than tokens, so this is room for every row space.
  for (const int64_t width : plan.buffer_widths)
    buffers.emplace_back(static_cast<size_t>(width * rows));
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    const Segment& segment = batch.segments[s];
    for (int64_t i = 0; i < segment.tokens; ++i) positions.push_back(segment.start_position + i);
    token_segments.resize(positions.size(), s);
  }
  row_segments = token_segments;
  routes.resize(static_cast<size_t>(plan.routes));
  selections.resize(static_cast<size_t>(plan.selections));
}

std::span<float> Pass::At(const View& view, int64_t row) {
  const size_t buffer = static_cast<size_t>(view.buffer);
  return {buffers[buffer].data() + row * plan.buffer_widths[buffer] + view.offset,
          static_cast<size_t>(view.width)};
}

namespace {

class ReferenceProgram final : public Program {
 public:
  ReferenceProgram(std::shared_ptr<const Plan> plan, const CompileOptions& options,
                   const MemoryUse& memory, InputObserver* observer)
      : plan_(std::move(plan)),
        observer_(observer),
        options_(options),
        memory_(memory),
        weights_(*plan_),
        pages_(*plan_, options.kv_type, options.kv_pages),
        states_(*plan_, options.state_slots) {}

  Status Load(const CompileOptions& options) { return weights_.Decode(options); }

  Status Run(const Batch& batch, std::span<float> out) override {
    CheckBatch(*plan_, options_, batch, most_ranked());
    if (!batch.ranked_rows.empty()) return RunRanked(batch, out);
    if (batch.tokens.empty()) {
      CHECK(out.empty());
      return {};
    }
    Pass pass(*plan_, &weights_, &pages_, &states_, batch);
    pass.observer = observer_;
    pass.detour = &options_.detour;
    for (int64_t row = 0; plan_->input.buffer >= 0 && row < pass.rows; ++row) {
      const std::span<float> to = pass.At(plan_->input, row);
      std::copy_n(batch.input.begin() + row * plan_->input.width, to.size(), to.begin());
    }
    const std::span<const Op> ops(plan_->ops);
    for (const Op& op :
         batch.encodes ? ops.first(plan_->encoder_ops) : ops.subspan(plan_->encoder_ops)) {
      std::visit([&pass](const auto& typed) { Execute(typed, &pass); }, op);
      if (!pass.failure) return pass.failure;
    }
    if (batch.encodes) {
      CHECK(out.empty() && batch.output_rows.empty()) << "outputs of an encoder";
      return {};
    }
    CHECK(static_cast<int64_t>(out.size()) == pass.rows * plan_->output.width)
        << "room for " << out.size() << " values, " << pass.rows << " rows of "
        << plan_->output.width << " to write";
    for (int64_t row = 0; row < pass.rows; ++row) {
      const std::span<const float> values = pass.At(plan_->output, row);
      std::copy(values.begin(), values.end(), out.begin() + row * plan_->output.width);
    }
    return {};
  }

  int64_t most_ranked() const override { return plan_->pooled ? 0 : plan_->output.width; }

  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    pages_.Copy(from, to, tokens);
  }
  void ReleasePage(int32_t page) override { pages_.Release(page); }
  MemoryUse memory_use() const override { return memory_; }
  std::string Describe() const override { return "reference"; }

 private:
  // Whole rows of everything, and then what is wanted of each.
  Status RunRanked(const Batch& batch, std::span<float> out) {
    const auto width = static_cast<size_t>(plan_->output.width);
    const std::vector<int32_t> rows = ComputedRows(batch);
    std::vector<float> all(rows.size() * width);
    Batch whole = batch;
    whole.output_rows = rows;
    whole.ranked_rows = {};
    PUNA_RETURN_IF_ERROR(Run(whole, all));
    size_t ranked = 0, next = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::span<const float> row = std::span(all).subspan(i * width, width);
      if (ranked < batch.ranked_rows.size() && batch.ranked_rows[ranked].row == rows[i]) {
        RankRow(row, batch.ranked_rows[ranked++]);
      } else {
        std::copy(row.begin(), row.end(),
                  out.begin() + static_cast<std::ptrdiff_t>(next++ * width));
      }
    }
    return {};
  }

  std::shared_ptr<const Plan> plan_;
  InputObserver* observer_;
  CompileOptions options_;
  MemoryUse memory_;
  WeightTable weights_;
  KvPages pages_;
  StateSlots states_;
};

class ReferenceBackend final : public Backend {
 public:
  explicit ReferenceBackend(InputObserver* observer) : observer_(observer) {}
  std::string_view name() const override { return "reference"; }

  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    const MemoryUse memory = Predict(*plan, options);
    auto program = std::make_unique<ReferenceProgram>(std::move(plan), options, memory, observer_);
    PUNA_RETURN_IF_ERROR(program->Load(options));
    return program;
  }

  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    MemoryUse use;
    use.weights = DecodedBytes(plan);
    use.kv_page = KvPages(plan, options.kv_type, 0).page_bytes();
    use.state_slot = StateSlots(plan, 0).slot_bytes();
    for (const int64_t width : plan.buffer_widths) {
      use.activations += width * options.max_batch_tokens * static_cast<int64_t>(sizeof(float));
    }
    return use;
  }

 private:
  InputObserver* observer_;
};

}  // namespace
}  // namespace reference

std::unique_ptr<Backend> CreateReferenceBackend(InputObserver* observer) {
  return std::make_unique<reference::ReferenceBackend>(observer);
}

}  // namespace puna::backend
