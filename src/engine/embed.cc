// Embeddings: inputs are packed whole into as few passes as fit. They are never cut into chunks,
// because a pooled vector needs all rows of its input in one pass and an encoder's tokens see each
// other in both directions.
#include <algorithm>
#include <utility>

#include "engine/engine.h"
#include "engine/engine_state.h"

namespace puna::engine {

// Runs inputs [first, result) in one pass and appends their vectors.
Result<size_t> Engine::State::EmbedSome(std::span<const std::vector<TokenId>> inputs, size_t first,
                                        const AdapterSet* set,
                                        std::vector<std::vector<float>>* vectors) {
  std::vector<model::PageTable>
      caches;  // stable until the pass is over: the segments point into them
  size_t end = first;
  int64_t rows = 0;
  for (; end < inputs.size(); ++end) {
    const auto length = static_cast<int64_t>(inputs[end].size());
    if (rows + length > parts.options.max_batch_tokens) break;
    model::PageTable cache(&pool);
    if (parts.cached) {
      Status grown = cache.Grow(length, parts.program.get());
      if (!grown && end == first) return tl::unexpected<Error>(std::move(grown).error());
      if (!grown) break;
    }
    caches.push_back(std::move(cache));
    rows += length;
  }
  batch.Clear();
  for (size_t i = first; i < end; ++i) {
    batch.AddWhole(inputs[i], caches[i - first], AppliedOf(set));
    batch.WantLastRows(1);
  }
  NoteTouched();
  const auto count = static_cast<int64_t>(end - first);
  const auto width = static_cast<size_t>(parts.output_width);
  failure = batch.Run(parts.program.get(), count, parts.output_width);
  PUNA_RETURN_IF_ERROR(failure);
  for (size_t i = 0; i < end - first; ++i) {
    const float* row = batch.outputs.data() + i * width;
    vectors->emplace_back(row, row + width);
  }
  return end;
}

Result<std::vector<std::vector<float>>> Engine::Embed(
    std::span<const std::vector<TokenId>> inputs, const std::vector<AdapterReference>& adapters) {
  State& s = *state_;
  if (!s.parts.options.embeddings) {
    return MakeError(ErrorCode::kInvalidArgument, "the model is not loaded for embeddings");
  }
  PUNA_RETURN_IF_ERROR(s.failure);
  const int64_t longest = std::min(s.parts.options.max_batch_tokens, context_length());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].empty()) return MakeError(ErrorCode::kInvalidArgument, "input {} is empty", i);
    if (std::cmp_greater(inputs[i].size(), longest)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "input {} has {} tokens, at most {} can be embedded at once", i,
                       inputs[i].size(), longest);
    }
    if (Status status = s.CheckTokens(inputs[i]); !status) {
      return WithContext(std::move(status).error(), fmt::format("input {}", i));
    }
  }
  PUNA_ASSIGN_OR_RETURN(const auto set, s.adapters.Find(adapters));
  std::vector<std::vector<float>> vectors;
  vectors.reserve(inputs.size());
  for (size_t first = 0; first < inputs.size();) {
    Result<size_t> end = s.EmbedSome(inputs, first, set.get(), &vectors);
    if (!s.failure) {
      const bool full = s.failure.error().code == ErrorCode::kResourceExhausted;
      if (s.Recover() && full) continue;
    }
    PUNA_ASSIGN_OR_RETURN(first, std::move(end));
    s.proved = true;
  }
  return vectors;
}

}  // namespace puna::engine
