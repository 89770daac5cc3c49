#include "cli/model_runner.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "backend/plan.h"
#include "model/lora.h"
#include "model/model.h"
#include "store/store.h"

namespace puna::cli {
namespace {

// llama.cpp rounds every context up to this. It matters for models with two sets of rope factors
// that were trained for less: they get the long ones there.
constexpr int64_t kLeastContext = 256;

}  // namespace

Result<std::shared_ptr<const gguf::File>> OpenModelArgument(const Settings& settings,
                                                            const std::string& argument) {
  std::error_code error;
  if (std::filesystem::is_regular_file(argument, error)) return gguf::File::Open(argument);
  const store::Store store(settings.models);
  auto name = store::ModelName::Parse(argument);
  if (name) {
    if (auto installed = store.Find(*name)) return store.OpenWeights(*installed);
  }
  return MakeError(ErrorCode::kNotFound,
                   "'{}' is neither a file nor an installed model (puna list shows those)",
                   argument);
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::Load(std::shared_ptr<const gguf::File> file,
                                                       const RunnerOptions& options) {
  PUNA_ASSIGN_OR_RETURN(model::ModelConfig config, model::ReadConfig(*file));
  const int64_t context = options.context_tokens > 0
                              ? options.context_tokens
                              : std::max(config.context_length, kLeastContext);
  PUNA_ASSIGN_OR_RETURN(const auto plan,
                        model::BuildPlan(config, file, {.context_length = context}));
  PUNA_ASSIGN_OR_RETURN(auto backend,
                        backend::CreateObservedBackend(options.backend, options.observer));
  const int64_t pages = model::PagesFor((config.encoder ? 2 : 1) * options.kv_tokens);
  // Two for each sequence, of which none is shorter than a page.
  const int64_t slots = plan->state_layers.empty() ? 0 : 2 * pages + 2;
  const int64_t max_batch_tokens = model::SeesAhead(config)
                                       ? std::max(options.max_batch_tokens, options.kv_tokens)
                                       : options.max_batch_tokens;
  PUNA_ASSIGN_OR_RETURN(auto program,
                        backend->Compile(plan, {.kv_type = options.kv_type,
                                                .kv_pages = pages,
                                                .state_slots = slots,
                                                .max_batch_tokens = max_batch_tokens,
                                                .share = options.share,
                                                .settle_later = options.settle_later,
                                                .weights_in_file = options.weights_in_file}));
  if (!options.settle_later && !options.weights_in_file) file->ReleaseMemory();
  return std::unique_ptr<ModelRunner>(new ModelRunner(std::move(config), plan, std::move(backend),
                                                      std::move(program), pages, slots,
                                                      max_batch_tokens));
}

ModelRunner::ModelRunner(model::ModelConfig config, std::shared_ptr<const backend::Plan> plan,
                         std::unique_ptr<backend::Backend> backend,
                         std::unique_ptr<backend::Program> program, int64_t pages,
                         int64_t state_slots, int64_t max_batch_tokens)
    : config_(std::move(config)),
      plan_(std::move(plan)),
      backend_(std::move(backend)),
      program_(std::move(program)),
      vocabulary_(plan_->vocabulary),
      max_batch_tokens_(max_batch_tokens),
      pool_(pages, state_slots) {}

Status ModelRunner::ApplyAdapter(const gguf::File& file, float scale) {
  PUNA_ASSIGN_OR_RETURN(auto adapter, model::BindAdapter(file, config_, *plan_));
  applied_.push_back({adapter.get(), scale});
  adapters_.push_back(std::move(adapter));
  return {};
}

Status ModelRunner::CheckTokens(std::span<const int32_t> tokens) const {
  for (const int32_t token : tokens) {
    if (token < 0 || token >= vocabulary_) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "token {} is not in the vocabulary of {} tokens", token, vocabulary_);
    }
  }
  return {};
}

Result<model::PageTable> ModelRunner::Copy(const model::PageTable& sequence) {
  // States are never written in place while somebody else refers to them.
  if (pool_.has_states()) return sequence.Fork(sequence.length());
  model::PageTable copy(&pool_);
  PUNA_RETURN_IF_ERROR(copy.Grow(sequence.length(), program_.get()));
  for (size_t i = 0; i < copy.pages().size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * backend::kPageTokens;
    program_->CopyPage(sequence.pages()[i], copy.pages()[i],
                       std::min(backend::kPageTokens, sequence.length() - first));
  }
  return copy;
}

Status ModelRunner::Encode(model::PageTable* sequence, std::span<const int32_t> tokens) {
  PUNA_RETURN_IF_ERROR(sequence->Grow(static_cast<int64_t>(tokens.size()), program_.get()));
  batch_.Clear();
  batch_.AddWhole(tokens, *sequence, applied_);
  batch_.Encode(program_.get());
  sequence->MarkEncoded();
  return {};
}

Result<std::span<const float>> ModelRunner::Run(std::span<const Part> parts, Outputs outputs) {
  for (const Part& part : parts) {
    if (config_.encoder && part.sequence->encoded() == 0) {
      return MakeError(ErrorCode::kUnsupported,
                       "{} models continue no text: an encoder reads it, a decoder answers",
                       config_.architecture);
    }
    PUNA_RETURN_IF_ERROR(
        part.sequence->Grow(static_cast<int64_t>(part.tokens.size()), program_.get()));
  }
  batch_.Clear();
  for (const Part& part : parts) {
    const auto count = static_cast<int64_t>(part.tokens.size());
    const auto first = static_cast<int64_t>(batch_.tokens.size());
    batch_.tokens.insert(batch_.tokens.end(), part.tokens.begin(), part.tokens.end());
    batch_.segments.push_back({.first_row = first,
                               .tokens = count,
                               .start_position = part.sequence->length() - count,
                               .pages = part.sequence->pages(),
                               .adapters = applied_,
                               .state = part.sequence->read_state(),
                               .state_writes = part.sequence->state_writes(),
                               .encoded = part.sequence->encoded()});
    for (int64_t row = outputs == Outputs::kAll ? 0 : count - 1; row < count; ++row)
      batch_.output_rows.push_back(static_cast<int32_t>(first + row));
  }
  PUNA_RETURN_IF_ERROR(
      batch_.Run(program_.get(), static_cast<int64_t>(batch_.output_rows.size()), vocabulary_));
  return std::span<const float>(batch_.outputs);
}

Status ModelRunner::Prefill(model::PageTable* sequence, std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    const size_t count = std::min(tokens.size(), static_cast<size_t>(max_batch_tokens_));
    const Part part{sequence, tokens.first(count)};
    PUNA_RETURN_IF_ERROR(Run({&part, 1}, Outputs::kLast));
    tokens = tokens.subspan(count);
  }
  return {};
}

}  // namespace puna::cli
