// The input and output arrays of one pass, reused from step to step.
#ifndef PUNA_ENGINE_STEP_BATCH_H_
#define PUNA_ENGINE_STEP_BATCH_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "engine/token_stream.h"
#include "model/kv_cache.h"

namespace puna::engine {

// The segments of one pass, in a form whose arrays outlive the pass.
struct StepBatch {
  std::vector<TokenId> tokens;
  std::vector<backend::Segment> segments;
  std::vector<int32_t> output_rows;
  std::vector<float> outputs;                   // [output rows or segments, output width]
  std::vector<backend::RankedRow> ranked_rows;  // with their values after Run

  void Clear();
  // Adds a sequence from its first token. `cache` may be empty if the plan has no cache layers.
  // The adapters must stay too.
  void AddWhole(std::span<const TokenId> sequence_tokens, const model::PageTable& cache,
                std::span<const backend::AppliedAdapter> adapters = {});
  // Adds the last `rows` of the computed positions of a sequence; the table must not change until
  // the pass is over.
  void Add(std::span<const TokenId> sequence_tokens, const model::PageTable& cache, int64_t rows,
           std::span<const backend::AppliedAdapter> adapters = {});
  // Adds the last positions of a sequence, for which the table has room already.
  void AddLast(std::span<const TokenId> last_tokens, const model::PageTable& cache,
               std::span<const backend::AppliedAdapter> adapters = {});
  // The `count` rows that were added last are ones whose output is wanted.
  void WantLastRows(int64_t count) {
    for (int64_t i = count; i > 0; --i)
      output_rows.push_back(static_cast<int32_t>(static_cast<int64_t>(tokens.size()) - i));
  }
  // Of the `counts.size()` rows that were added last so many of the largest outputs are wanted.
  void RankLastRows(std::span<const int64_t> counts);
  // The pass of an encoder over whole texts.
  Status Encode(backend::Program* program);
  // One pass; fills `outputs` and the values of `ranked_rows`.
  Status Run(backend::Program* program, int64_t outputs_wanted, int64_t output_width);

 private:
  void AddRows(std::span<const TokenId> added, int64_t start, const model::PageTable& cache,
               std::span<const backend::AppliedAdapter> adapters);

  std::vector<int64_t> ranked_counts_;  // of ranked_rows
  std::vector<float> ranked_values_;
  std::vector<int32_t> ranked_columns_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_STEP_BATCH_H_
