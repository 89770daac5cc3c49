// puna bench --replay: a recorded output is said again, token by token, by a model that would have
// said something else. So guesses from the prompt are right as often as they are for real text,
// whatever the weights are, and what they bring can be measured.
#include "cli/bench_replay.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "base/json.h"
#include "cli/eval_tools.h"
#include "engine/engine.h"

namespace puna::cli {
namespace {

struct Measured {
  double seconds_per_token = 0;
  engine::GenerationStats stats;
};

Result<Measured> RunOnce(engine::Engine* engine, const engine::GenerateRequest& request) {
  auto stream = std::make_shared<engine::TokenStream>();
  engine->Submit(request, stream);
  while (engine->Step()) {
  }
  std::vector<engine::StreamEvent> events = stream->Take();
  const engine::StreamEvent& last = events.back();
  if (last.kind == engine::StreamEvent::Kind::kFailed) return tl::unexpected<Error>(last.error);
  const std::chrono::duration<double> seconds = last.stats.generate;
  // The first token came with the prompt.
  return Measured{seconds.count() / static_cast<double>(last.stats.generated_tokens - 1),
                  last.stats};
}

}  // namespace

Status RunReplay(const ReplayOptions& options, std::shared_ptr<const gguf::File> file,
                 backend::Backend* backend) {
  engine::GenerateRequest request;
  PUNA_ASSIGN_OR_RETURN(request.prompt, ReadTokenIds(options.prompt));
  PUNA_ASSIGN_OR_RETURN(request.replay, ReadTokenIds(options.output));
  if (request.replay.size() < 2) {
    return MakeError(ErrorCode::kInvalidArgument, "{} has {} tokens, at least 2 are needed",
                     options.output, request.replay.size());
  }
  request.max_tokens = static_cast<int64_t>(request.replay.size());
  request.ignore_end = true;
  request.sampling.temperature = 0;
  engine::EngineOptions engine_options;
  engine_options.kv_type = options.kv_type;
  engine_options.context_length =
      static_cast<int64_t>(request.prompt.size() + request.replay.size()) + 1;
  PUNA_ASSIGN_OR_RETURN(const auto engine, engine::Engine::Load(file, backend, engine_options));
  std::vector<double> plain, guessed;
  engine::GenerationStats stats;
  for (int64_t i = 0; i <= options.repetitions; ++i) {
    for (const bool speculate : {false, true}) {
      request.speculate = speculate;
      PUNA_ASSIGN_OR_RETURN(const Measured measured, RunOnce(engine.get(), request));
      if (i == 0) continue;  // warms up, and teaches what steps cost
      (speculate ? guessed : plain).push_back(measured.seconds_per_token);
      if (speculate) stats = measured.stats;
    }
  }
  const auto median = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  const double without = 1 / median(plain), with = 1 / median(guessed);
  if (options.json) {
    const Json row = {{"test", "replay"},
                      {"n_prompt", request.prompt.size()},
                      {"n_gen", request.replay.size()},
                      {"tokens_per_second_plain", without},
                      {"tokens_per_second", with},
                      {"drafted", stats.drafted_tokens},
                      {"accepted", stats.accepted_tokens}};
    std::printf("%s\n", DumpJson(row).c_str());
    return {};
  }
  fmt::print(
      "replay of {} tokens after {}: {:.2f} tokens/s without guesses, {:.2f} with ({:.2f}x); {} of "
      "{} guesses were right\n",
      request.replay.size(), request.prompt.size(), without, with, with / without,
      stats.accepted_tokens, stats.drafted_tokens);
  return {};
}

}  // namespace puna::cli
