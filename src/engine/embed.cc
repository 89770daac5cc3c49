// Embeddings: inputs are packed whole into as few passes as fit. They are never cut into chunks,
// because a pooled vector needs all rows of its input in one pass and an encoder's tokens see each
// other in both directions.
#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "engine/engine.h"
#include "engine/engine_state.h"

namespace puna::engine {
namespace {

// Wider passes hardly gain where they take long, and whoever comes then waits for them.
constexpr int64_t kWidePass = 512;

}  // namespace

Status Engine::State::CheckInputs(const EmbedRequest& request) const {
  if (!parts.options.embeddings) {
    return MakeError(ErrorCode::kInvalidArgument, "the model is not loaded for embeddings");
  }
  const int64_t longest = std::min(parts.options.max_batch_tokens, parts.options.context_length);
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const std::vector<TokenId>& input = request.inputs[i];
    if (input.empty()) return MakeError(ErrorCode::kInvalidArgument, "input {} is empty", i);
    if (std::cmp_greater(input.size(), longest)) {
      return MakeError(ErrorCode::kContextExceeded,
                       "input {} has {} tokens, at most {} can be embedded at once", i,
                       input.size(), longest);
    }
    if (Status status = CheckTokens(input); !status)
      return WithContext(std::move(status).error(), fmt::format("input {}", i));
  }
  return {};
}

void Engine::Submit(EmbedRequest request, std::shared_ptr<Reply<Embeddings>> reply) {
  State& s = *state_;
  if (const Status checked = s.CheckInputs(request); !checked) return reply->Fail(checked.error());
  auto adapters = s.adapters.Find(request.adapters);
  if (!adapters) return reply->Fail(adapters.error());
  if (request.submitted == std::chrono::steady_clock::time_point{})
    request.submitted = std::chrono::steady_clock::now();
  auto embedding = std::make_unique<Embedding>();
  embedding->request = std::move(request);
  embedding->adapters = *std::move(adapters);
  embedding->reply = std::move(reply);
  s.embeddings_waiting.push_back(std::move(embedding));
}

// Lets go of whoever is not waited for any more, and lets in who waits while there is room.
void Engine::State::AdmitEmbeddings() {
  const auto now = std::chrono::steady_clock::now();
  const auto over = [&](const std::unique_ptr<Embedding>& embedding) {
    if (embedding->request.deadline <= now) embedding->reply->Expire();
    return embedding->reply->ended();
  };
  std::erase_if(embeddings_running, over);
  std::erase_if(embeddings_waiting, over);
  while (!embeddings_waiting.empty() &&
         std::cmp_less(embeddings_running.size(), parts.options.max_sequences)) {
    embeddings_running.push_back(std::move(embeddings_waiting.front()));
    embeddings_waiting.pop_front();
  }
}

// The inputs of a pass and their pages. Requests give one after another, so that nobody waits until
// all texts of somebody else are done.
std::vector<Engine::State::ChosenInput> Engine::State::ChooseInputs(
    std::vector<model::PageTable>* caches) {
  std::vector<ChosenInput> chosen;
  int64_t rows = 0, most_rows = kWidePass;
  if (embed_row_seconds > 0) {
    const std::chrono::duration<double> budget = parts.options.step_budget;
    const double affordable = std::min(budget.count() / embed_row_seconds, 1e9);
    most_rows = std::max(most_rows, static_cast<int64_t>(affordable));
  }
  most_rows = std::min(most_rows, parts.options.max_batch_tokens);
  for (bool more = true; more;) {
    more = false;
    for (const auto& embedding : embeddings_running) {
      const size_t next = embedding->vectors.size() + embedding->in_pass;
      if (next == embedding->request.inputs.size()) continue;
      const auto length = static_cast<int64_t>(embedding->request.inputs[next].size());
      if (rows > 0 && rows + length > most_rows) continue;
      model::PageTable cache(&pool);
      if (const Status grown = parts.cached ? cache.Grow(length, parts.program.get()) : Status();
          !grown) {
        if (!chosen.empty()) return chosen;
        embedding->reply->Fail(grown.error());  // there is not even room for it alone
        continue;
      }
      caches->push_back(std::move(cache));
      chosen.push_back({embedding.get(), next});
      ++embedding->in_pass;
      rows += length;
      more = true;
    }
  }
  return chosen;
}

// One pass; appends the vectors of what was in it.
Status Engine::State::EmbedSome() {
  std::vector<model::PageTable> caches;  // the segments point into them
  const std::vector<ChosenInput> chosen = ChooseInputs(&caches);
  if (chosen.empty()) return {};
  batch.Clear();
  for (size_t i = 0; i < chosen.size(); ++i) {
    const Embedding& embedding = *chosen[i].of;
    batch.AddWhole(embedding.request.inputs[chosen[i].number], caches[i],
                   AppliedOf(embedding.adapters.get()));
    batch.WantLastRows(1);
  }
  NoteTouched();
  const double begin = parts.clock();
  const auto width = static_cast<size_t>(parts.output_width);
  PUNA_RETURN_IF_ERROR(
      batch.Run(parts.program.get(), static_cast<int64_t>(chosen.size()), parts.output_width));
  PUNA_RETURN_IF_ERROR(CheckFile());
  proved = true;
  embed_row_seconds = (parts.clock() - begin) / static_cast<double>(batch.tokens.size());
  for (size_t i = 0; i < chosen.size(); ++i) {
    const float* row = batch.outputs.data() + i * width;
    chosen[i].of->vectors.emplace_back(row, row + width);
  }
  return {};
}

// The round of an engine that embeds. Where the program recovers, whoever was in the pass is
// computed again if it was only too large for the device, and fails if the device is lost.
bool Engine::State::EmbedPass() {
  if (embeddings_running.empty()) return true;
  failure = EmbedSome();
  if (!failure) {
    const Error error = failure.error();
    if (!Recover()) return false;
    for (const auto& embedding : embeddings_running) {
      if (embedding->in_pass > 0 && error.code != ErrorCode::kResourceExhausted)
        embedding->reply->Fail(error);
      embedding->in_pass = 0;
    }
    return true;
  }
  // Whoever found no room comes first in the next pass.
  std::stable_partition(embeddings_running.begin(), embeddings_running.end(),
                        [](const auto& embedding) { return embedding->in_pass == 0; });
  for (const auto& embedding : embeddings_running) {
    embedding->in_pass = 0;
    const EmbedRequest& request = embedding->request;
    if (embedding->vectors.size() < request.inputs.size()) continue;
    embedding->reply->Give({std::move(embedding->vectors), request.load,
                            std::chrono::steady_clock::now() - request.submitted});
  }
  std::erase_if(embeddings_running,
                [](const auto& embedding) { return embedding->reply->ended(); });
  return true;
}

Result<std::vector<std::vector<float>>> Engine::Embed(
    std::span<const std::vector<TokenId>> inputs, const std::vector<AdapterReference>& adapters) {
  std::optional<Result<Embeddings>> result;
  const auto reply = std::make_shared<Reply<Embeddings>>(
      [&](Result<Embeddings> given) { result.emplace(std::move(given)); });
  EmbedRequest request;
  request.inputs.assign(inputs.begin(), inputs.end());
  request.adapters = adapters;
  Submit(std::move(request), reply);
  while (!result && Step()) {
  }
  if (!result) reply->Fail(failure().error());
  if (!*result) return tl::unexpected<Error>(std::move(*result).error());
  return std::move((*result)->vectors);
}

}  // namespace puna::engine
