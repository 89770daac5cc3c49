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

Status StepBatch::Encode(backend::Program* program) {
  return program->Run({.tokens = tokens, .segments = segments, .output_rows = {}, .encodes = true},
                      {});
}

Status StepBatch::Run(backend::Program* program, int64_t outputs_wanted, int64_t output_width) {
  outputs.resize(static_cast<size_t>(outputs_wanted * output_width));
  return program->Run({.tokens = tokens, .segments = segments, .output_rows = output_rows},
                      outputs);
}

}  // namespace puna::engine
