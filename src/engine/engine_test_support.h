// What the tests of the engine share.
#ifndef PUNA_ENGINE_ENGINE_TEST_SUPPORT_H_
#define PUNA_ENGINE_ENGINE_TEST_SUPPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/token_stream.h"
#include "tests/support/history_program.h"

namespace puna::engine {

// Everything that came out of one request.
struct Outcome {
  std::vector<TokenId> tokens;
  std::string text;
  std::vector<std::vector<sampler::TokenProbability>> logprobs;
  std::vector<std::vector<sampler::TokenProbability>> prompt_logprobs;
  std::optional<GenerationStats> stats;
  std::optional<Error> error;

  bool done() const { return stats || error; }
  void Add(const std::vector<StreamEvent>& events) {
    for (const StreamEvent& event : events) {
      if (event.kind == StreamEvent::Kind::kFinished) stats = event.stats;
      if (event.kind == StreamEvent::Kind::kFailed) error = event.error;
      if (event.kind != StreamEvent::Kind::kDelta) continue;
      if (event.delta.of_prompt) {
        prompt_logprobs.push_back(event.delta.logprobs);
        continue;
      }
      if (event.delta.token >= 0) tokens.push_back(event.delta.token);
      text += event.delta.text;
      if (!event.delta.logprobs.empty()) logprobs.push_back(event.delta.logprobs);
    }
  }
};

// Exactly equal, logprobs to the last bit.
inline bool SameOutput(const Outcome& a, const Outcome& b) {
  if (a.tokens != b.tokens || a.text != b.text || a.logprobs.size() != b.logprobs.size())
    return false;
  for (size_t i = 0; i < a.logprobs.size(); ++i) {
    if (a.logprobs[i].size() != b.logprobs[i].size()) return false;
    for (size_t j = 0; j < a.logprobs[i].size(); ++j) {
      if (a.logprobs[i][j].token != b.logprobs[i][j].token) return false;
      if (a.logprobs[i][j].logprob != b.logprobs[i][j].logprob) return false;
    }
  }
  return true;
}

inline Outcome Collect(TokenStream* stream) {
  Outcome outcome;
  outcome.Add(stream->Take());
  return outcome;
}

// Submits all at once and steps until nothing is left to do.
inline std::vector<Outcome> RunAll(Engine* engine, const std::vector<GenerateRequest>& requests) {
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (const GenerateRequest& request : requests) {
    streams.push_back(std::make_shared<TokenStream>());
    engine->Submit(request, streams.back());
  }
  while (engine->Step()) {
  }
  std::vector<Outcome> outcomes;
  for (const auto& stream : streams) outcomes.push_back(Collect(stream.get()));
  return outcomes;
}

inline Outcome RunOne(Engine* engine, const GenerateRequest& request) {
  return RunAll(engine, {request})[0];
}

struct HistoryEngine {
  std::unique_ptr<Engine> engine;
  testing::HistoryProgram* program;
};

inline HistoryEngine MakeHistoryEngine(
    EngineOptions options, int64_t trained_context = 512, int64_t vocabulary = 50,
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer = nullptr,
    std::function<double()> clock = nullptr, bool states = false) {
  Engine::Parts parts;
  parts.clock = std::move(clock);
  parts.config.context_length = trained_context;
  parts.options = ResolveOptions(std::move(options), parts.config);
  parts.tokenizer = std::move(tokenizer);
  const int64_t pages = model::PagesFor(parts.options.kv_tokens);
  auto program = std::make_unique<testing::HistoryProgram>(
      vocabulary, pages, parts.options.max_batch_tokens, states ? parts.options.state_slots : 0);
  testing::HistoryProgram* raw = program.get();
  parts.program = std::move(program);
  parts.vocabulary = parts.output_width = vocabulary;
  parts.states = states;
  return {Engine::FromParts(std::move(parts)), raw};
}

}  // namespace puna::engine

#endif  // PUNA_ENGINE_ENGINE_TEST_SUPPORT_H_
