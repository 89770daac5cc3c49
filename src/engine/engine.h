// An Engine is one loaded model and the requests that are running on it. A request is a Sequence: a token timeline with its
// pages of the key/value cache and its sampler. Everything happens in Step(): admit waiting requests, plan one batch (every
// running sequence advances; waiting prompts are prefilled in chunks), run it, sample, deliver.
//
// Callers know tokens and text; nobody above this header knows tensors, pages or logits rows (except `puna eval`, through
// Evaluate). Thread rule: one worker thread constructs nothing else but calls everything here; only the TokenStream and the
// immutable ModelInfo are shared with others.
#ifndef PUNA_ENGINE_ENGINE_H_
#define PUNA_ENGINE_ENGINE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "engine/token_stream.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "sampler/sampler.h"
#include "tokenizer/tokenizer.h"

namespace puna::engine {

struct EngineOptions {
  backend::KvType kv_type = backend::KvType::kF16;
  int64_t kv_tokens = 0;          // size of the page pool in tokens; 0: the model's trained context
  int64_t context_length = 0;     // longest sequence that plans are built for; 0: the trained context
  int64_t max_batch_tokens = 512; // rows of one step
  int64_t max_sequences = 0;      // that advance in one step; 0: no limit but pages
  bool embeddings = false;        // build the plan that returns pooled hidden states
  std::function<bool(int64_t, int64_t)> progress;  // load progress in bytes; false cancels
};

struct GenerateRequest {
  std::vector<TokenId> prompt;         // not empty
  sampler::SamplingOptions sampling;
  std::vector<std::string> stop;       // matched in the text, also across tokens; not part of the output
  int64_t max_tokens = -1;             // negative: until the context is full
  int64_t context_length = 0;          // of this request in tokens; 0: the engine's
  int logprobs = -1;                   // -1: none; n: the chosen token and the n most likely
  bool show_control_tokens = false;    // control tokens become text
  bool ignore_end = false;             // go on after an end-of-generation token (benchmarks)
};

class Engine {
 public:
  // Reads config and tokenizer, builds the plan, compiles it. A file without a vocabulary loads for ids only (tokenizer()
  // is null): generated tokens then have no text.
  static Result<std::unique_ptr<Engine>> Load(std::shared_ptr<const gguf::File> file, backend::Backend* backend,
                                              const EngineOptions& options);
  // The memory Load would take with these options, without loading.
  static Result<backend::MemoryUse> Predict(std::shared_ptr<const gguf::File> file, const backend::Backend& backend,
                                            const EngineOptions& options);
  ~Engine();

  const model::ModelConfig& config() const;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer() const;
  int64_t context_length() const;
  backend::MemoryUse memory_use() const;

  // Queues a request. What is wrong with it is delivered as a failed event: an empty prompt, a token out of range, a prompt
  // that does not fit its context (kInvalidArgument with both numbers).
  void Submit(GenerateRequest request, std::shared_ptr<TokenStream> stream);
  // One round for everybody. Returns false if there was nothing to do.
  bool Step();
  bool idle() const;
  // Fails every queued and running request with `error`.
  void FailAll(const Error& error);

  // The pooled vector of each input, [inputs][width], not normalized. REQUIRES options.embeddings.
  Result<std::vector<std::vector<float>>> Embed(std::span<const std::vector<TokenId>> inputs);

  // Logits of every position, [tokens, vocabulary], computed in chunks of `chunk` tokens beside nothing else; for
  // `puna eval` and tests.
  Result<std::vector<float>> Evaluate(std::span<const TokenId> tokens, int64_t chunk);

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_ENGINE_H_
