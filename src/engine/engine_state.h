// The inside of an Engine, shared by engine.cc (loading, queueing), step.cc (the round),
// recovery.cc, kept_prefixes.cc and embed.cc.
#ifndef PUNA_ENGINE_ENGINE_STATE_H_
#define PUNA_ENGINE_ENGINE_STATE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "engine/adapter_table.h"
#include "engine/batch_planner.h"
#include "engine/cost_model.h"
#include "engine/disk_prefixes.h"
#include "engine/engine.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"
#include "engine/step_batch.h"
#include "model/kv_cache.h"

namespace puna::engine {

struct Engine::Parts {
  model::ModelConfig config;  // context_length, embeddings_only and encoder are used
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;  // may be null
  std::shared_ptr<const gguf::File> unsettled;  // whose weights the program still has to settle
  std::shared_ptr<const gguf::File> file;       // of the weights; may be null
  std::unique_ptr<backend::Program> program;
  // The program once more, with so many bytes on devices at most, or as before; null: a program
  // that fails is the end of the engine.
  std::function<Result<std::unique_ptr<backend::Program>>(std::optional<int64_t> device_bytes)>
      recompile;
  std::shared_ptr<const backend::Plan> plan;  // of the program, for adapters; null: it takes none
  int64_t vocabulary = 0;
  int64_t output_width =
      0;  // of what the program returns: the vocabulary, or the width of a pooled vector
  bool pooled = false;    // one output row per segment
  bool cached = true;     // the plan has cache or state layers
  bool states = false;    // the plan has state layers
  EngineOptions options;  // resolved: see ResolveOptions
  // The time in seconds since some moment, by which steps are measured; null: a steady clock.
  std::function<double()> clock;
};

// Fills in what 0 stands for and applies the limits that EngineOptions describes.
EngineOptions ResolveOptions(EngineOptions options, const model::ModelConfig& config);

// Texts that are becoming vectors, in their order.
struct Embedding {
  EmbedRequest request;
  std::shared_ptr<const AdapterSet> adapters;  // null: none
  std::shared_ptr<Reply<Embeddings>> reply;
  std::vector<std::vector<float>> vectors;  // of the first inputs
  size_t in_pass = 0;                       // so many inputs after those are in the pass
};

struct Engine::State {
  explicit State(Parts parts_in);

  // Token ids come from callers: kInvalidArgument names the first that the model does not have.
  Status CheckTokens(std::span<const TokenId> tokens) const;
  Status CheckRequest(const GenerateRequest& request) const;
  int64_t ContextOf(const GenerateRequest& request) const;

  void NoteTouched();
  void Settle(double seconds);
  // To be asked after whatever reads weights, and before its results are used.
  Status CheckFile() const;
  int64_t UnsettledBytes() const;

  // recovery.cc
  bool Recover();
  void StartAgain(std::unique_ptr<Sequence> sequence);

  // step.cc
  void DropUnwanted();
  void Admit();
  Status Encode();
  Status EncodeText(std::span<const TokenId> text, model::PageTable* cache,
                    std::span<const backend::AppliedAdapter> applied);
  void PlanBatch();
  void WantOutputs(size_t index);
  bool IsReader(const Sequence& sequence) const;
  std::vector<size_t> PromptOrder() const;
  bool PagesAreComing(const Sequence& sequence) const;
  void AdoptPages(Sequence* sequence);
  void PlanRows();
  void PlanDrafts(StepPlan* plan);
  bool GrowOrPreempt(Sequence* sequence, int64_t rows);
  void FailOnlyOne();
  void Preempt();
  void Deliver();
  void Learn(double seconds);
  void Remember(Sequence* sequence, bool still_running);
  void LimitPrefixes();

  // kept_prefixes.cc
  void OpenFolder();
  void BringBack(std::span<const TokenId> tokens);
  bool ReadPages(const DiskPrefixes::FileOnDisk& file, std::vector<int32_t>* pages);
  void KeepOnDisk(const Sequence& sequence);

  // embed.cc
  Status CheckInputs(const EmbedRequest& request) const;
  void AdmitEmbeddings();
  bool EmbedPass();
  struct ChosenInput {
    Embedding* of = nullptr;
    size_t number = 0;
  };
  std::vector<ChosenInput> ChooseInputs(std::vector<model::PageTable>* caches);
  Status EmbedSome();

  Parts parts;
  // Tokens of prompts see those after them: a prompt is computed in one pass, and each token behind
  // it in a pass of its own, as when it was generated. Otherwise what is said would depend on the
  // length of chunks, and so on who else is there.
  const bool whole_prompts;
  model::PagePool pool;
  PrefixCache prefixes;
  std::unique_ptr<DiskPrefixes> disk;  // may be null
  CostModel cost;
  AdapterTable adapters;
  std::deque<std::unique_ptr<Sequence>>
      waiting;  // both in order of arrival; whoever runs arrived before whoever waits
  std::vector<std::unique_ptr<Sequence>> running;
  // The same of embeddings; of those that run the next in turn is first.
  std::deque<std::unique_ptr<Embedding>> embeddings_waiting, embeddings_running;
  double embed_row_seconds = 0;  // of the latest pass; 0: none yet
  StepBatch batch;
  std::vector<int64_t> rows;  // of the batch, for each of `running`
  StepWork work;              // of the batch
  bool bounded = false;       // StepPlan::bounded() of it
  // Rows of the outputs that running[i] gets, and of the ranked rows; both 0: none.
  std::vector<int64_t> outputs_of, ranked_of;
  int64_t most_pages = 0;  // that were ever in use at once
  int64_t pages_touched = 0, slots_touched = 0;
  int64_t preemptions = 0;
  bool proved = false;  // the program has done a pass
  Status failure;       // of the program: nothing can be computed any more
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_ENGINE_STATE_H_
