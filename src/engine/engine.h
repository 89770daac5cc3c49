// An Engine is one loaded model and the requests that are running on it. A request is a Sequence: a
// token timeline with its pages of the key/value cache and its sampler. Everything happens in
// Step(): admit waiting requests, plan one batch (every running sequence advances; waiting prompts
// are prefilled in chunks), run it, sample, deliver.
//
// Callers know tokens and text; nobody above this header knows tensors, pages or logits rows
// (except `puna eval`, through Evaluate). Thread rule: one worker thread constructs nothing else
// but calls everything here; only the TokenStream and the immutable ModelInfo are shared with
// others.
#ifndef PUNA_ENGINE_ENGINE_H_
#define PUNA_ENGINE_ENGINE_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "engine/reply.h"
#include "engine/token_stream.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "model/config.h"
#include "sampler/sampler.h"
#include "tokenizer/tokenizer.h"

namespace puna::engine {

// What EngineOptions::state_slots is at least.
inline constexpr int64_t kLeastStateSlots = 6;

struct EngineOptions {
  backend::KvType kv_type = backend::KvType::kF16;
  backend::DeviceShare share;    // of the layers
  bool weights_in_file = false;  // as in backend::CompileOptions
  // Size of the page pool in tokens; 0: the context. A pool smaller than the context also limits
  // the context.
  int64_t kv_tokens = 0;
  // Slots for the states of networks with recurrent layers: two for each sequence that advances,
  // the rest keeps beginnings for the prefix cache. 0: three for each of max_sequences, 48 at most.
  // At least kLeastStateSlots.
  int64_t state_slots = 0;
  // Longest sequence that plans are built for, in tokens; 0: as trained.
  int64_t context_length = 0;
  // Rows of one step. With `embeddings`, and where an encoder reads prompts or tokens see later
  // ones, at least 2048 or the context, whichever is less, because an input cannot be cut into
  // chunks.
  int64_t max_batch_tokens = 512;
  // Sequences that advance in one step; 0: no limit but rows and pages. Where tokens of prompts see
  // later ones at most 64, which have rows beside the longest prompt.
  int64_t max_sequences = 0;
  // Build the plan that returns pooled hidden states; always so for encoders.
  bool embeddings = false;
  // Share pages between prompts that begin alike, also with sequences that have ended.
  bool prefix_cache = true;
  // Most tokens of ended sequences that are kept for that; 0: as many as the pool has room for.
  int64_t prefix_cache_tokens = 0;
  // Where pages of prompts that several requests began with are kept across restarts; empty:
  // nowhere. Not for networks with recurrent layers, and only where `weights_digest` says which
  // model it is.
  std::filesystem::path prefix_folder;
  int64_t prefix_folder_bytes = int64_t{4} << 30;
  std::string weights_digest;
  // How long a step may become through prompts while somebody else's output is generated (or twice
  // a step without prompts, whichever is longer); and through texts to embed, beyond 512 rows.
  std::chrono::nanoseconds step_budget = std::chrono::milliseconds(150);
  // That of the file, where the caller has it already; null: Load reads it.
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  // Load progress as (bytes done, bytes in all); false cancels.
  std::function<bool(int64_t, int64_t)> progress;
};

// An adapter (LoRA) as a request names it. Two requests mean the same one if they hold the same
// File.
struct AdapterReference {
  std::shared_ptr<const gguf::File> file;
  float scale = 1;  // how strongly it is applied

  bool operator==(const AdapterReference&) const = default;
};

struct GenerateRequest {
  std::vector<TokenId> prompt;  // not empty, shorter than the context
  sampler::SamplingOptions sampling;
  // What the output must obey; null: anything goes. Over the vocabulary of this engine. The output
  // ends when the text is complete and cannot go on. Text that leaves no choice is not sampled,
  // unless `logprobs` are wanted.
  std::shared_ptr<const grammar::Constraint> constraint;
  // Where the text is complete but may go on, the model is asked without the constraint: if it
  // wants to say something else, that is the end.
  bool end_when_complete = false;
  std::vector<std::string> stop;  // matched in the text, also across tokens; not part of the output
  int64_t max_tokens = -1;        // negative: until the context is full; 0: only cache the prompt
  int64_t context_length = 0;     // in tokens; 0 or more than the engine's: the engine's
  // When the context is full: forget the older half of what follows the first `keep_tokens` and go
  // on, instead of ending. Then with negative max_tokens the output ends after ten contexts.
  bool shift = false;
  int64_t keep_tokens = 4;
  int logprobs = -1;  // -1: none; n: the chosen token and the n most likely
  // As many `logprobs` also of the prompt's tokens from the second on, as deltas before the first
  // of the output. Then the whole prompt is computed, whatever is cached.
  bool prompt_logprobs = false;
  bool show_control_tokens = false;           // control tokens become text
  std::vector<TokenId> shown_control_tokens;  // and these in any case
  bool ignore_end = false;                    // go on after an end-of-generation token (benchmarks)
  // Applied together, to this request alone.
  std::vector<AdapterReference> adapters;
  // What the key/value pages depend on beside the tokens: only requests with the same key share
  // prefixes. The engine sets it for requests with adapters.
  uint64_t prefix_key = 0;
  // Somebody reads the tokens as they come. If not, only the end of the output counts, and steps
  // beside it may take as much of others' prompts as is efficient.
  bool streamed = true;
  // Nobody waits for it: the prompt is computed ahead, so that the prefix cache has it when
  // somebody asks. In passes so short that whoever comes need not wait long, and in no statistics
  // of requests. With max_tokens 0, and while the engine has nothing else to do.
  bool background = false;
  // Verify guesses of the next tokens where that is faster. Changes no output.
  bool speculate = true;
  // Say these tokens in place of the sampled ones, as far as they reach (benchmarks).
  std::vector<TokenId> replay;
  // The engine sets these: tokens at the beginning of the prompt that an encoder reads, and tokens
  // at its end that the engine put there.
  int64_t encoder_tokens = 0, added_tokens = 0;
  bool return_context = false;  // GenerationStats::context is wanted
  // Another choice of a call whose first one stands for it in queues: it is not counted as waiting.
  bool further_choice = false;
  // When GenerationStats::total begins (default: at Submit), and what it reports as `load`.
  std::chrono::steady_clock::time_point submitted{};
  // Fails with kUnavailable when it is not done then.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::chrono::nanoseconds load{};
};

// Texts that are to become vectors.
struct EmbedRequest {
  std::vector<std::vector<TokenId>> inputs;
  std::vector<AdapterReference> adapters;
  // As in GenerateRequest.
  std::chrono::steady_clock::time_point submitted{};
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::chrono::nanoseconds load{};
};

struct Embeddings {
  std::vector<std::vector<float>> vectors;  // [inputs][width], not normalized
  std::chrono::nanoseconds load{}, total{};
};

// What is going on, for schedulers and `ps`.
struct EngineUsage {
  int64_t waiting = 0, running = 0;  // requests; of those that wait no further choices
  int64_t pages = 0;                 // of the pool
  int64_t pages_in_use = 0;          // by running sequences and the prefix cache
  int64_t pages_touched = 0;         // these have memory
  int64_t state_slots = 0, state_slots_touched = 0;  // the same; 0: no recurrent layers
  int64_t unsettled_bytes = 0;                       // of weights that may have no memory yet
  int64_t untouched_bytes = 0;                       // of activations that have none
  // Since Load:
  int64_t preemptions = 0;    // sequences that lost their pages to older ones
  int64_t evictions = 0;      // pages that the prefix cache gave up
  int64_t adapter_bytes = 0;  // of the adapters that were used lately
};

class Engine {
 public:
  // Reads config and tokenizer, builds the plan, compiles it. A file without a vocabulary loads for
  // ids only (tokenizer() is null): generated tokens then have no text.
  static Result<std::unique_ptr<Engine>> Load(std::shared_ptr<const gguf::File> file,
                                              backend::Backend* backend,
                                              const EngineOptions& options);
  // The memory Load would take with these options, without loading.
  static Result<backend::MemoryUse> Predict(std::shared_ptr<const gguf::File> file,
                                            const backend::Backend& backend,
                                            const EngineOptions& options);
  // The same, divided by what is free on the devices now.
  static Result<backend::MemoryUse> PredictNow(std::shared_ptr<const gguf::File> file,
                                               const backend::Backend& backend,
                                               const EngineOptions& options);
  ~Engine();

  const model::ModelConfig& config() const;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer() const;
  int64_t context_length() const;
  backend::MemoryUse memory_use() const;
  EngineUsage usage() const;
  std::string Describe() const;  // which kernels run

  // Queues a request. What is wrong with it is delivered as a failed event: an empty prompt, a
  // token out of range, a sampling option without meaning, a prompt that does not fit its context
  // (kInvalidArgument with both numbers), an adapter that does not fit the model. A stream that
  // nobody else holds any more counts as cancelled. Same request, same seed: same tokens, whatever
  // else runs (as far as the backend computes a row alike in every batch).
  void Submit(GenerateRequest request, std::shared_ptr<TokenStream> stream);
  // Queues texts, of which the pooled vectors are computed; without pooling the last token's. Many
  // short inputs share a pass, also those of several requests, which take turns. An empty input,
  // one longer than a batch, a token out of range: kInvalidArgument with its index. An engine
  // without the embedding plan: kInvalidArgument. A reply that has ended counts as cancelled.
  void Submit(EmbedRequest request, std::shared_ptr<Reply<Embeddings>> reply);
  // Lets in who waits and has room, as Step does first: then usage() says who really waits.
  void Admit();
  // One round for everybody. Returns false if there was nothing to do, or if there is a failure().
  // If an exception of a library passes through, the engine can only FailAll and die.
  bool Step();
  // What the program failed with (backend::Program::Run): the engine can only FailAll and die.
  const Status& failure() const;
  bool idle() const;
  // Does a little of what Load put off (Steps do some of it too). False if nothing is left.
  bool Settle();
  // Gives the memory of pages that nobody uses, not even the prefix cache, back to the system. They
  // take it again when they are used again.
  void ReleaseMemory();
  // Fails every queued and running request with `error`. Where a callback throws, the requests that
  // were told are gone; call again for the others.
  void FailAll(const Error& error);

  // Submits these texts and steps until they are vectors; for `puna eval` and tests.
  Result<std::vector<std::vector<float>>> Embed(std::span<const std::vector<TokenId>> inputs,
                                                const std::vector<AdapterReference>& adapters = {});

  // Makes the adapters ready. What does not fit the model is kInvalidArgument or kUnsupported
  // naming the tensor.
  Status PrepareAdapters(const std::vector<AdapterReference>& adapters);

  // Logits of every position, [tokens, vocabulary], computed in chunks of `chunk` tokens beside
  // nothing else; for `puna eval` and tests. An encoder reads the same tokens first.
  Result<std::vector<float>> Evaluate(std::span<const TokenId> tokens, int64_t chunk,
                                      const std::vector<AdapterReference>& adapters = {});

  // The parts of an engine, for tests that bring a Program of their own. `options` are resolved as
  // in Load.
  struct Parts;
  static std::unique_ptr<Engine> FromParts(Parts parts);

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_ENGINE_H_
