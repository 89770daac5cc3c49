// A program is the plan itself: Run walks the op list over fresh float32 buffers. What was
// rejected: double activations between ops, because then no other backend could be compared op by
// op, and float32 is what the recorded outputs used.
#include "backend/reference/reference.h"

#include <algorithm>
#include <utility>

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

void CheckStates(const Segment& segment, int64_t slots) {
  CHECK(segment.start_position == 0 || (segment.state >= 0 && segment.state < slots))
      << "state slot " << segment.state;
  int64_t previous = 0;
  for (const StateWrite& write : segment.state_writes) {
    CHECK(write.tokens > previous && write.tokens <= segment.tokens) << write.tokens << " tokens";
    CHECK(write.slot >= 0 && write.slot < slots) << "state slot " << write.slot;
    previous = write.tokens;
  }
}

void CheckEncoded(const Plan& plan, const Batch& batch, const Segment& segment) {
  if (batch.encodes || plan.encoder_ops == 0) {
    CHECK(segment.encoded == 0) << "an encoder's tokens where there is none";
    CHECK(!batch.encodes || (plan.encoder_ops > 0 && segment.start_position == 0))
        << "a text for an encoder at position " << segment.start_position;
    return;
  }
  CHECK(segment.encoded > 0 && segment.encoded <= segment.start_position)
      << segment.encoded << " positions of an encoder before " << segment.start_position;
}

void CheckBatch(const Plan& plan, const Batch& batch, int64_t max_tokens, int64_t pages,
                int64_t slots) {
  CHECK(static_cast<int64_t>(batch.tokens.size()) <= max_tokens)
      << "batch of " << batch.tokens.size();
  for (const int32_t token : batch.tokens)
    CHECK(token >= 0 && token < plan.vocabulary) << "token " << token;
  int64_t row = 0;
  for (const Segment& segment : batch.segments) {
    CHECK(segment.first_row == row && segment.tokens > 0 && segment.start_position >= 0)
        << "segment at row " << row;
    row += segment.tokens;
    CheckEncoded(plan, batch, segment);
    CHECK(plan.positions == 0 || segment.start_position + segment.tokens <= plan.positions)
        << "position " << segment.start_position + segment.tokens - 1 << " of " << plan.positions;
    if (!plan.state_layers.empty()) CheckStates(segment, slots);
    if (plan.cache_layers.empty()) continue;
    const int64_t end = segment.start_position + segment.tokens;
    CHECK(static_cast<int64_t>(segment.pages.size()) * kPageTokens >= end)
        << "too few pages for " << end << " positions";
    for (const int32_t page : segment.pages) CHECK(page >= 0 && page < pages) << "page " << page;
  }
  CHECK(row == static_cast<int64_t>(batch.tokens.size())) << "segments cover " << row << " tokens";
  int64_t previous = -1;
  for (const int32_t output : batch.output_rows) {
    CHECK(output > previous && output < row) << "output row " << output;
    previous = output;
  }
}

class ReferenceProgram final : public Program {
 public:
  ReferenceProgram(std::shared_ptr<const Plan> plan, const CompileOptions& options,
                   const MemoryUse& memory, InputObserver* observer)
      : plan_(std::move(plan)),
        observer_(observer),
        max_batch_tokens_(options.max_batch_tokens),
        memory_(memory),
        weights_(*plan_),
        pages_(*plan_, options.kv_type, options.kv_pages),
        states_(*plan_, options.state_slots) {}

  Status Load(const CompileOptions& options) { return weights_.Decode(options); }

  void Run(const Batch& batch, std::span<float> out) override {
    CheckBatch(*plan_, batch, max_batch_tokens_, pages_.pages(), states_.slots());
    if (batch.tokens.empty()) {
      CHECK(out.empty());
      return;
    }
    Pass pass(*plan_, &weights_, &pages_, &states_, batch);
    pass.observer = observer_;
    const std::span<const Op> ops(plan_->ops);
    for (const Op& op :
         batch.encodes ? ops.first(plan_->encoder_ops) : ops.subspan(plan_->encoder_ops)) {
      std::visit([&pass](const auto& typed) { Execute(typed, &pass); }, op);
    }
    if (batch.encodes) {
      CHECK(out.empty() && batch.output_rows.empty()) << "outputs of an encoder";
      return;
    }
    CHECK(static_cast<int64_t>(out.size()) == pass.rows * plan_->output.width)
        << "room for " << out.size() << " values, " << pass.rows << " rows of "
        << plan_->output.width << " to write";
    for (int64_t row = 0; row < pass.rows; ++row) {
      const std::span<const float> values = pass.At(plan_->output, row);
      std::copy(values.begin(), values.end(), out.begin() + row * plan_->output.width);
    }
  }

  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    pages_.Copy(from, to, tokens);
  }
  void ReleasePage(int32_t page) override { pages_.Release(page); }
  MemoryUse memory_use() const override { return memory_; }
  std::string Describe() const override { return "reference"; }

 private:
  std::shared_ptr<const Plan> plan_;
  InputObserver* observer_;
  int64_t max_batch_tokens_;
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
