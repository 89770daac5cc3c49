// A model below the server, for the tools that measure and check it: passes over sequences that the
// caller owns, with every output row in reach. Not thread safe.
#ifndef PUNA_CLI_MODEL_RUNNER_H_
#define PUNA_CLI_MODEL_RUNNER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/input_observer.h"
#include "base/result.h"
#include "base/settings.h"
#include "engine/step_batch.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "model/kv_cache.h"

namespace puna::cli {

// The file if `argument` is the path of one, else the weights of the installed model of that name.
Result<std::shared_ptr<const gguf::File>> OpenModelArgument(const Settings& settings,
                                                            const std::string& argument);

struct RunnerOptions {
  backend::BackendOptions backend;
  backend::DeviceShare share;
  backend::KvType kv_type = backend::KvType::kF16;
  int64_t context_tokens = 0;  // longest sequence; some rope scalings depend on it; 0: as
                               // trained, at least 256
  int64_t kv_tokens = 0;       // room for all sequences together; for an encoder as much again
  int64_t max_batch_tokens = 512;
  backend::InputObserver* observer = nullptr;  // must outlive the runner
  bool weights_in_file = false;                // as in backend::CompileOptions
  bool settle_later = false;  // as in backend::CompileOptions, and nothing is settled
};

class ModelRunner {
 public:
  static Result<std::unique_ptr<ModelRunner>> Load(std::shared_ptr<const gguf::File> file,
                                                   const RunnerOptions& options);

  const backend::Plan& plan() const { return *plan_; }
  const model::ModelConfig& config() const { return config_; }
  int64_t vocabulary() const { return vocabulary_; }
  backend::MemoryUse memory_use() const { return program_->memory_use(); }
  std::string Describe() const { return program_->Describe(); }
  // From now on every pass applies the adapter too.
  Status ApplyAdapter(const gguf::File& file, float scale);
  // Every id in the vocabulary? kInvalidArgument naming the first that is not.
  Status CheckTokens(std::span<const int32_t> tokens) const;

  // A sequence must die before the runner.
  model::PageTable NewSequence() { return model::PageTable(&pool_); }
  // A sequence with the same cached positions in pages of its own, so that nobody shares memory.
  Result<model::PageTable> Copy(const model::PageTable& sequence);

  struct Part {
    model::PageTable* sequence;
    std::span<const int32_t> tokens;  // appended to the sequence; not empty
  };
  enum class Outputs { kLast, kAll };
  // One pass. Returns logits, [parts, vocabulary] or [tokens, vocabulary]; valid until the next.
  // REQUIRES: at most max_batch_tokens tokens, all in the vocabulary.
  Result<std::span<const float>> Run(std::span<const Part> parts, Outputs outputs);
  // Lets the encoder read a text, all in one pass. Models that have one need that before Run.
  Status Encode(model::PageTable* sequence, std::span<const int32_t> tokens);
  // Appends any number of tokens in passes of max_batch_tokens, dropping the outputs.
  Status Prefill(model::PageTable* sequence, std::span<const int32_t> tokens);

 private:
  ModelRunner(model::ModelConfig config, std::shared_ptr<const backend::Plan> plan,
              std::unique_ptr<backend::Backend> backend, std::unique_ptr<backend::Program> program,
              int64_t pages, int64_t state_slots, int64_t max_batch_tokens);

  model::ModelConfig config_;
  std::shared_ptr<const backend::Plan> plan_;
  std::unique_ptr<backend::Backend> backend_;
  std::unique_ptr<backend::Program> program_;
  int64_t vocabulary_;
  int64_t max_batch_tokens_;
  model::PagePool pool_;
  engine::StepBatch batch_;
  std::vector<std::shared_ptr<const backend::Adapter>> adapters_;
  std::vector<backend::AppliedAdapter> applied_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_MODEL_RUNNER_H_
