#include "engine/step_batch.h"

#include <numeric>

namespace puna::engine {

void StepBatch::Clear() {
  tokens.clear();
  segments.clear();
  output_rows.clear();
  ranked_rows.clear();
  ranked_counts_.clear();
}

void StepBatch::AddWhole(std::span<const TokenId> sequence_tokens, const model::PageTable& cache,
                         std::span<const backend::AppliedAdapter> adapters) {
  AddRows(sequence_tokens, 0, cache, adapters);
}

void StepBatch::Add(std::span<const TokenId> sequence_tokens, const model::PageTable& cache,
                    int64_t rows, std::span<const backend::AppliedAdapter> adapters) {
  AddLast(sequence_tokens.subspan(static_cast<size_t>(cache.length() - rows),
                                  static_cast<size_t>(rows)),
          cache, adapters);
}

void StepBatch::AddLast(std::span<const TokenId> last_tokens, const model::PageTable& cache,
                        std::span<const backend::AppliedAdapter> adapters) {
  AddRows(last_tokens, cache.length() - static_cast<int64_t>(last_tokens.size()), cache, adapters);
}

void StepBatch::AddRows(std::span<const TokenId> added, int64_t start,
                        const model::PageTable& cache,
                        std::span<const backend::AppliedAdapter> adapters) {
  segments.push_back({.first_row = static_cast<int64_t>(tokens.size()),
                      .tokens = static_cast<int64_t>(added.size()),
                      .start_position = start,
                      .pages = cache.pages(),
                      .adapters = adapters,
                      .state = cache.read_state(),
                      .state_writes = cache.state_writes(),
                      .encoded = cache.encoded()});
  tokens.insert(tokens.end(), added.begin(), added.end());
}

void StepBatch::RankLastRows(std::span<const int64_t> counts) {
  for (size_t i = 0; i < counts.size(); ++i) {
    ranked_rows.push_back({static_cast<int32_t>(tokens.size() - counts.size() + i), {}, {}});
    ranked_counts_.push_back(counts[i]);
  }
}

Status StepBatch::Encode(backend::Program* program) {
  return program->Run({.tokens = tokens, .segments = segments, .output_rows = {}, .encodes = true},
                      {});
}

Status StepBatch::Run(backend::Program* program, int64_t outputs_wanted, int64_t output_width) {
  outputs.resize(static_cast<size_t>(outputs_wanted * output_width));
  const auto all = static_cast<size_t>(
      std::accumulate(ranked_counts_.begin(), ranked_counts_.end(), int64_t{0}));
  ranked_values_.resize(all);
  ranked_columns_.resize(all);
  size_t begin = 0;
  for (size_t i = 0; i < ranked_rows.size(); ++i) {
    const auto count = static_cast<size_t>(ranked_counts_[i]);
    ranked_rows[i].values = std::span(ranked_values_).subspan(begin, count);
    ranked_rows[i].columns = std::span(ranked_columns_).subspan(begin, count);
    begin += count;
  }
  return program->Run({.tokens = tokens,
                       .segments = segments,
                       .output_rows = output_rows,
                       .ranked_rows = ranked_rows},
                      outputs);
}

}  // namespace puna::engine
