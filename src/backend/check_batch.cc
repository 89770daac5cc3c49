#include "backend/check_batch.h"

#include <algorithm>

#include "base/check.h"

namespace puna::backend {
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

void CheckPages(const Segment& segment, int64_t pages) {
  const int64_t end = segment.start_position + segment.tokens;
  CHECK(static_cast<int64_t>(segment.pages.size()) * kPageTokens >= end)
      << "too few pages for " << end << " positions";
  for (const int32_t page : segment.pages) CHECK(page >= 0 && page < pages) << "page " << page;
}

}  // namespace

void CheckBatch(const Plan& plan, const CompileOptions& options, const Batch& batch,
                int64_t most_ranked) {
  const auto tokens = static_cast<int64_t>(batch.tokens.size());
  CHECK(tokens <= options.max_batch_tokens) << "batch of " << tokens;
  for (const int32_t token : batch.tokens)
    CHECK(token >= 0 && token < plan.vocabulary) << "token " << token;
  const int64_t input_width = plan.input.buffer < 0 ? 0 : plan.input.width;
  CHECK(static_cast<int64_t>(batch.input.size()) == tokens * input_width) << batch.input.size();
  int64_t row = 0;
  for (const Segment& segment : batch.segments) {
    CHECK(segment.first_row == row && segment.tokens > 0 && segment.start_position >= 0)
        << "segment at row " << row;
    row += segment.tokens;
    CheckEncoded(plan, batch, segment);
    CHECK(plan.positions == 0 || segment.start_position + segment.tokens <= plan.positions)
        << "position " << segment.start_position + segment.tokens - 1 << " of " << plan.positions;
    if (!plan.state_layers.empty()) CheckStates(segment, options.state_slots);
    if (!plan.cache_layers.empty()) CheckPages(segment, options.kv_pages);
  }
  CHECK(row == tokens) << "segments cover " << row << " of " << tokens << " tokens";
  int64_t previous = -1;
  for (const int32_t output : batch.output_rows) {
    CHECK(output > previous && output < row) << "output row " << output;
    previous = output;
  }
  previous = -1;
  for (const RankedRow& ranked : batch.ranked_rows) {
    CHECK(ranked.row > previous && ranked.row < row) << "ranked row " << ranked.row;
    CHECK(!std::binary_search(batch.output_rows.begin(), batch.output_rows.end(), ranked.row))
        << "row " << ranked.row << " is wanted twice";
    const auto values = static_cast<int64_t>(ranked.values.size());
    CHECK(values > 0 && values <= most_ranked && ranked.columns.size() == ranked.values.size())
        << values << " values of a row, " << most_ranked << " at most";
    previous = ranked.row;
  }
}

int64_t OutputRows(const Plan& plan, const Batch& batch) {
  if (batch.encodes) return 0;
  return static_cast<int64_t>(plan.pooled ? batch.segments.size() : batch.output_rows.size());
}

}  // namespace puna::backend
