// Which models are in memory, and who computes for whom. Each resident model has one worker thread
// that alone touches its engine. Models load on first use, leave when idle longer than their
// keep-alive, and make room for others. Thread safe.
#ifndef PUNA_SCHEDULER_SCHEDULER_H_
#define PUNA_SCHEDULER_SCHEDULER_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/token_stream.h"
#include "gguf/gguf.h"

namespace puna::scheduler {

struct SchedulerOptions {
  backend::BackendOptions backend;
  backend::KvType kv_type = backend::KvType::kF16;
  backend::DeviceShare share;  // of models that do not say otherwise
  std::chrono::nanoseconds keep_alive = std::chrono::minutes(5);  // kForever: never unload
  int64_t context_length = 0;  // default of requests in tokens; 0: trained, as far as memory allows
  int64_t num_parallel = 0;    // sequences in a step; 0: no limit
  int64_t max_loaded_models = 0;  // 0: as many as fit
  int64_t max_queue = 512;        // requests waiting per server; more are kUnavailable; 0: no limit
  bool prefix_cache = true;
  // As in engine::EngineOptions.
  int64_t prefix_cache_tokens = 0;
  std::filesystem::path prefix_folder;
  int64_t prefix_folder_bytes = int64_t{4} << 30;
  // Memory of pages that nobody uses is given back to the system after so long without a request.
  std::chrono::nanoseconds release_after = std::chrono::seconds(10);
  // What is expected to be asked for is computed after so long without a request; negative: never.
  std::chrono::nanoseconds prepare_after = std::chrono::milliseconds(250);
  bool speculate = true;
  // Longest time of a request, waiting included; 0: no limit.
  std::chrono::nanoseconds request_timeout{};
  // A pass that takes longer than this is reported as stuck.
  std::chrono::nanoseconds stuck_after = std::chrono::minutes(2);
  // Bytes that a new model may take; for tests. Null: what the system and its control groups have
  // left.
  std::function<int64_t()> available_memory;
};

// What to run. Models with the same weights and mode share one engine.
struct ModelReference {
  // As users know it, for `ps`, and what else that tells of it; the latest request's win.
  std::string name;
  std::string digest;
  std::shared_ptr<const Json> details;  // may be null
  std::filesystem::path weights;        // the GGUF file; what tells models apart
  // The same file, opened already; null: `weights` is opened. A model without a path needs it. A
  // model that was loaded from another one, since the path led there, is loaded anew.
  std::shared_ptr<const gguf::File> file;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;  // of `file`; null: it is read from there
  bool embeddings = false;
  // Applied to this model's requests. Models that differ only in these share an engine.
  std::vector<engine::AdapterReference> adapters;
  // As in backend::DeviceShare; a model that is loaded otherwise is loaded anew. Nullopt: as it is
  // loaded, or as SchedulerOptions::share says. Without effect if the backend has no devices.
  std::optional<int64_t> device_layers;
  std::optional<int> device;
  // Overrides all others from this request on, as long as the model stays; 0: unload when idle.
  std::optional<std::chrono::nanoseconds> keep_alive;
  // Where no request has said one: until a request under another name, which may have another.
  // Nullopt: the server's.
  std::optional<std::chrono::nanoseconds> default_keep_alive = std::nullopt;
};

enum class ModelState { kLoading, kRunning, kStopping };
std::string_view ModelStateName(ModelState state);  // "loading", "running", "stopping"

struct ResidentModel {
  std::string name;
  std::string digest;
  std::shared_ptr<const Json> details;  // these three as in ModelReference
  std::filesystem::path weights;
  int64_t size_bytes = 0;  // weights, activations and pages with memory; predicted while loading
  int64_t size_vram_bytes = 0;
  bool weights_in_file = false;  // they do not fit into memory: each pass reads them, which is slow
  // Tokens that a request gets unless it asks for another: trained, default and memory limit it.
  int64_t context_length = 0;
  std::chrono::system_clock::time_point expires_at;  // time_point::max(): never
  ModelState state = ModelState::kRunning;
  int64_t waiting_requests = 0, running_requests = 0;
  int64_t pages = 0, pages_in_use = 0;  // of the key/value cache
  std::chrono::nanoseconds pass{};      // how long the pass that is under way has taken so far
};

class Scheduler {
 public:
  static Result<std::unique_ptr<Scheduler>> Create(const SchedulerOptions& options);
  // With a backend of the caller's instead of the one that options.backend names.
  static std::unique_ptr<Scheduler> WithBackend(const SchedulerOptions& options,
                                                std::unique_ptr<backend::Backend> backend);
  // Fails what is still running; call Shutdown before for a drain. Not from one of its own
  // callbacks.
  ~Scheduler();

  // Starts a request; loads the model first if needed. Never blocks. Errors arrive in the stream,
  // also those of loading: a model that cannot fit is kResourceExhausted with the bytes it needs
  // and the bytes there are. Stats carry the time spent loading. Cancelling the stream, or dropping
  // it, stops the request within one step, and the load if nobody else waits.
  std::shared_ptr<engine::TokenStream> Generate(const ModelReference& model,
                                                engine::GenerateRequest request);

  // Loads (or keeps) the model; `done` is called once, from a worker thread or the one that calls
  // Abort, with the time that loading took. What is returned cancels, from any thread: then `done`
  // is called at once with kCancelled, if it was not yet, and the load is given up if nobody else
  // waits.
  std::function<void()> Load(const ModelReference& model,
                             std::function<void(Result<std::chrono::nanoseconds>)> done);

  // With what the next request to a model will probably begin, such as the conversation so far.
  // `tokens` is called from the model's worker thread, at most once, when nobody has asked for
  // anything for a while; the prefix cache is given then what it returns, until somebody asks. It
  // must not call the scheduler; empty: nothing. Without effect if the model is not in memory or
  // keeps no prefixes. Of many the latest count.
  void Expect(const ModelReference& model, std::function<std::vector<engine::TokenId>()> tokens);

  // Computes vectors, pass by pass, in which others have their turns too. `done` and what is
  // returned are as with Load; cancelling stops the work when the pass at hand is over.
  using Embeddings = engine::Embeddings;
  std::function<void()> Embed(const ModelReference& model,
                              std::vector<std::vector<engine::TokenId>> inputs,
                              std::function<void(Result<Embeddings>)> done);

  // Unloads as soon as its accepted requests are done. kNotFound if it is not resident.
  Status Unload(const std::filesystem::path& weights);
  // Latest expiry first. What is being unloaded comes last.
  std::vector<ResidentModel> List() const;

  struct Health {
    bool accepting = true;           // false: shutting down
    std::vector<std::string> stuck;  // names of models whose pass takes too long
  };
  Health health() const;

  // Refuses new requests and fails all others with kUnavailable at once, even while a pass is under
  // way. Shutdown does it at its deadline.
  void Abort();

  // Refuses new requests (kUnavailable), finishes the running ones, at most until `deadline`, then
  // fails the rest and unloads everything, for which it waits for the passes at hand. Idempotent.
  void Shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  struct State;
  explicit Scheduler(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace puna::scheduler

#endif  // PUNA_SCHEDULER_SCHEDULER_H_
