#include "engine/step_batch.h"

namespace puna::engine {

void StepBatch::Clear() {
  tokens.clear();
  segments.clear();
  output_rows.clear();
}

void StepBatch::AddWhole(std::span<const TokenId> sequence_tokens, const model::PageTable& cache,
                         std::span<const backend::AppliedAdapter> adapters) {
  AddRows(sequence_tokens, 0, cache, adapters);
}

void StepBatch::Add(std::span<const TokenId> sequence_tokens, const model::PageTable& cache,
                    int64_t rows, std::span<const backend::AppliedAdapter> adapters) {
  AddRows(sequence_tokens.subspan(0, static_cast<size_t>(cache.length())), cache.length() - rows,
          cache, adapters);
}

void StepBatch::AddRows(std::span<const TokenId> sequence_tokens, int64_t start,
                        const model::PageTable& cache,
                        std::span<const backend::AppliedAdapter> adapters) {
  const auto added = sequence_tokens.subspan(static_cast<size_t>(start));
  segments.push_back({.first_row = static_cast<int64_t>(tokens.size()),
                      .tokens = static_cast<int64_t>(added.size()),
                      .start_position = start,
                      .pages = cache.pages(),
                      .adapters = adapters,
                      .state = cache.read_state(),
                      .state_writes = cache.state_writes()});
  tokens.insert(tokens.end(), added.begin(), added.end());
}

void StepBatch::Run(backend::Program* program, int64_t outputs_wanted, int64_t output_width) {
  outputs.resize(static_cast<size_t>(outputs_wanted * output_width));
  program->Run({.tokens = tokens, .segments = segments, .output_rows = output_rows}, outputs);
}

}  // namespace puna::engine
