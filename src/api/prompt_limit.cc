// Messages are dropped one at a time from the oldest, so that a tool's result may stay without its
// call: that is what Ollama does, and templates cope with it. Each try renders the conversation
// again; the number is found by halving, not by trying all.
#include "api/prompt_limit.h"

#include <algorithm>

namespace puna::api {
namespace {

constexpr int64_t kLeastContext = 4;  // Ollama raises smaller ones to it

}  // namespace

PromptLimit LimitOf(int64_t num_ctx, int64_t server_context, int64_t trained,
                    std::optional<bool> truncate, std::optional<bool> shift) {
  PromptLimit limit;
  const int64_t written = num_ctx > 0 ? num_ctx : server_context;
  limit.context = std::max(written, kLeastContext);
  limit.chosen = written > 0 && (trained <= 0 || limit.context <= trained);
  if (!limit.chosen) limit.context = trained;
  limit.truncate = truncate.value_or(limit.chosen);
  limit.shift = shift.value_or(limit.chosen);
  return limit;
}

Result<std::optional<std::vector<chat::Message>>> DropOldest(
    const std::vector<chat::Message>& messages, int64_t context, const CountTokens& count) {
  std::vector<size_t> droppable;
  for (size_t i = 0; i + 1 < messages.size(); ++i) {
    if (messages[i].role != "system") droppable.push_back(i);
  }
  const auto without = [&](size_t dropped) {
    std::vector<chat::Message> kept;
    for (size_t i = 0; i < messages.size(); ++i) {
      const auto end = droppable.begin() + static_cast<std::ptrdiff_t>(dropped);
      if (!std::binary_search(droppable.begin(), end, i)) kept.push_back(messages[i]);
    }
    return kept;
  };
  const auto fits = [&](size_t dropped) -> Result<bool> {
    PUNA_ASSIGN_OR_RETURN(const int64_t tokens, count(without(dropped)));
    return tokens < context;
  };
  PUNA_ASSIGN_OR_RETURN(const bool possible, fits(droppable.size()));
  if (!possible) return std::nullopt;
  size_t too_few = 0, enough = droppable.size();  // nobody asks who fits without dropping any
  while (enough - too_few > 1) {
    const size_t middle = too_few + (enough - too_few) / 2;
    PUNA_ASSIGN_OR_RETURN(const bool fit, fits(middle));
    (fit ? enough : too_few) = middle;
  }
  return without(enough);
}

int64_t DropMiddle(int64_t keep, int64_t context, std::vector<tokenizer::TokenId>* tokens) {
  const auto size = static_cast<int64_t>(tokens->size());
  keep = std::clamp<int64_t>(keep, 0, std::max<int64_t>(0, context - 2));
  const int64_t remaining =
      std::max<int64_t>(1, context - std::max<int64_t>(1, (context - keep) / 2));
  const int64_t dropped = size - remaining;
  if (dropped <= 0 || keep + dropped > size) return 0;
  tokens->erase(tokens->begin() + keep, tokens->begin() + keep + dropped);
  return dropped;
}

}  // namespace puna::api
