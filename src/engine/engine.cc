// Loading, queueing, and what the worker thread may ask between steps. The round itself is step.cc.
#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "backend/split_backend.h"
#include "base/check.h"
#include "engine/engine_state.h"
#include "gguf/gguf_guard.h"
#include "model/model.h"

namespace puna::engine {
namespace {

// Texts to embed and prompts whose tokens see later ones must pass in one batch. 2048 is what
// Ollama's users are used to; longer texts are an error there too.
constexpr int64_t kWholeTextTokens = 2048;
// Where tokens see later ones, a batch has room for so many sequences that generate beside the
// longest prompt, so that neither waits for the other.
constexpr int64_t kReadersBesideWhole = 64;
// Recurrent networks by default: how many sequences advance together at most. One that is alone
// may need two slots, and two more for the checkpoints that it starts from and leaves.
constexpr int64_t kSequencesWithStates = 16;
constexpr int64_t kLargestStateSlots = int64_t{1} << 20;
// Stop strings become an automaton of about 150 bytes a byte.
constexpr size_t kLargestStops = 64 * 1024;
// Bounds the bookkeeping of pages against absurd numbers in files and options: 2^36 tokens are 2^32
// pages.
constexpr int64_t kLargestPool = int64_t{1} << 34;

// While weights are packed, at most about so much of the file counts as memory beside them.
constexpr int64_t kReleaseBytes = int64_t{128} << 20;

// Between two looks for new requests.
constexpr double kIdleSettleSeconds = 0.03;

// A compiler for the engine's lifetime: of a device that gives up, the same plan is compiled again.
// `progress` may be null.
Result<std::unique_ptr<backend::Program>> CompileOf(
    const gguf::File& file, backend::Backend* backend, std::shared_ptr<const backend::Plan> plan,
    backend::CompileOptions options, const std::function<bool(int64_t, int64_t)>& progress) {
  // What is packed need not be there twice.
  options.progress = [&file, &progress, released = int64_t{0}](int64_t done, int64_t all) mutable {
    if (done >= released + kReleaseBytes || done == all) {
      file.ReleaseMemory();
      released = done;
    }
    return !progress || progress(done, all);
  };
  options.settle_later = true;
  PUNA_ASSIGN_OR_RETURN(auto program, backend->Compile(std::move(plan), options));
  PUNA_RETURN_IF_ERROR(gguf::CheckReadable(file));
  return program;
}

// Anthropic's words, by which agents see that they have to shorten the conversation, and by how
// many tokens.
tl::unexpected<Error> TooLong(int64_t length, int64_t most, std::string_view why) {
  return MakeError(ErrorCode::kContextExceeded, "prompt is too long: {} tokens > {} maximum; {}",
                   length, most, why);
}

struct Blueprint {
  model::ModelConfig config;
  std::shared_ptr<const backend::Plan> plan;
  EngineOptions options;
  backend::CompileOptions compile;
};

Result<Blueprint> Draft(const std::shared_ptr<const gguf::File>& file,
                        const EngineOptions& options) {
  Blueprint draft;
  PUNA_ASSIGN_OR_RETURN(draft.config, model::ReadConfig(*file));
  draft.options = ResolveOptions(options, draft.config);
  // Rope factors that depend on the context are chosen by what the model was trained for (or what
  // the caller asks), not by how much of it fits into memory: the same model answers alike on every
  // machine.
  const model::PlanOptions plan_options{.context_length = options.context_length,
                                        .embeddings = draft.options.embeddings};
  PUNA_ASSIGN_OR_RETURN(draft.plan, model::BuildPlan(draft.config, file, plan_options));
  const bool states = !draft.plan->state_layers.empty();
  if (draft.plan->cache_layers.empty() && !states && !draft.options.embeddings) {
    return MakeError(ErrorCode::kUnsupported,
                     "the model has no layer that remembers, so it cannot generate");
  }
  draft.compile.kv_type = draft.options.kv_type;
  draft.compile.share = draft.options.share;
  draft.compile.weights_in_file = draft.options.weights_in_file;
  draft.compile.kv_pages =
      draft.plan->cache_layers.empty() ? 0 : model::PagesFor(draft.options.kv_tokens);
  draft.compile.state_slots = states ? draft.options.state_slots : 0;
  draft.compile.max_batch_tokens = draft.options.max_batch_tokens;
  draft.compile.progress = draft.options.progress;
  return draft;
}

}  // namespace

EngineOptions ResolveOptions(EngineOptions options, const model::ModelConfig& config) {
  if (options.context_length <= 0) options.context_length = config.context_length;
  options.context_length = std::clamp<int64_t>(options.context_length, 1, kLargestPool);
  options.embeddings = options.embeddings || config.embeddings_only;
  const bool sees_ahead = model::SeesAhead(config);
  if (sees_ahead) options.prefix_cache = false;  // all of a text counts in each of its keys
  const int64_t whole_text = std::min(options.context_length, kWholeTextTokens);
  if (options.embeddings || config.encoder) {
    options.max_batch_tokens = std::max(options.max_batch_tokens, whole_text);
  } else if (sees_ahead) {
    if (options.max_sequences <= 0 || options.max_sequences > kReadersBesideWhole)
      options.max_sequences = kReadersBesideWhole;
    options.max_batch_tokens =
        std::max(options.max_batch_tokens, whole_text + options.max_sequences);
  }
  if (options.embeddings) {
    // Room for one batch; each of its inputs may leave a page half empty, so a batch of very short
    // ones is split.
    if (options.kv_tokens <= 0) options.kv_tokens = 2 * options.max_batch_tokens;
  }
  if (options.kv_tokens <= 0) options.kv_tokens = options.context_length;
  options.kv_tokens = std::min(options.kv_tokens, kLargestPool);
  if (!options.embeddings)
    options.context_length = std::min(options.context_length, options.kv_tokens);
  options.max_batch_tokens = std::clamp<int64_t>(options.max_batch_tokens, 1, int64_t{1} << 20);
  if (options.max_sequences <= 0) options.max_sequences = options.max_batch_tokens;
  if (options.state_slots <= 0)
    options.state_slots = 3 * std::min(options.max_sequences, kSequencesWithStates);
  options.state_slots = std::clamp(options.state_slots, kLeastStateSlots, kLargestStateSlots);
  return options;
}

Engine::State::State(Parts parts_in)
    : parts(std::move(parts_in)),
      whole_prompts(model::SeesAhead(parts.config) && !parts.config.encoder &&
                    !parts.options.embeddings),
      pool(parts.cached ? model::PagesFor(parts.options.kv_tokens) : 0,
           parts.states ? parts.options.state_slots : 0),
      prefixes(&pool),
      adapters(&parts.config, parts.plan) {
  OpenFolder();
  if (parts.clock) return;
  parts.clock = [] {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    return now.count();
  };
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

std::unique_ptr<Engine> Engine::FromParts(Parts parts) {
  return std::unique_ptr<Engine>(new Engine(std::make_unique<State>(std::move(parts))));
}

Result<std::unique_ptr<Engine>> Engine::Load(std::shared_ptr<const gguf::File> file,
                                             backend::Backend* backend,
                                             const EngineOptions& options) {
  gguf::Guard(*file);
  PUNA_ASSIGN_OR_RETURN(Blueprint draft, Draft(file, options));
  Parts parts;
  parts.tokenizer = options.tokenizer;
  if (parts.tokenizer == nullptr) {
    auto tokenizer = tokenizer::Tokenizer::FromGguf(*file);
    if (tokenizer) {
      parts.tokenizer = *std::move(tokenizer);
    } else if (tokenizer.error().code != ErrorCode::kUnsupported) {
      return tl::unexpected<Error>(std::move(tokenizer).error());
    }
  }
  PUNA_ASSIGN_OR_RETURN(parts.program,
                        CompileOf(*file, backend, draft.plan, draft.compile, options.progress));
  if (parts.program->Settle(0)) parts.unsettled = file;
  parts.file = file;
  parts.recompile = [file, backend, plan = draft.plan,
                     compile = draft.compile](std::optional<int64_t> device_bytes) mutable {
    if (device_bytes == 0) {
      compile.share.layers = 0;
    } else if (device_bytes) {
      compile.share.promised_bytes = backend::PromiseAllBut(*device_bytes, *backend, compile.share);
    }
    return CompileOf(*file, backend, plan, compile, nullptr);
  };
  parts.vocabulary = draft.plan->vocabulary;
  parts.output_width = draft.plan->output.width;
  parts.pooled = draft.plan->pooled;
  parts.states = !draft.plan->state_layers.empty();
  parts.cached = parts.states || !draft.plan->cache_layers.empty();
  parts.plan = draft.plan;
  parts.config = std::move(draft.config);
  parts.options = std::move(draft.options);
  parts.options.tokenizer = nullptr;
  parts.options.progress = nullptr;  // belongs to the caller, who may be gone by now
  return FromParts(std::move(parts));
}

Result<backend::MemoryUse> Engine::Predict(std::shared_ptr<const gguf::File> file,
                                           const backend::Backend& backend,
                                           const EngineOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const Blueprint draft, Draft(file, options));
  return backend.Predict(*draft.plan, draft.compile);
}

Result<backend::MemoryUse> Engine::PredictNow(std::shared_ptr<const gguf::File> file,
                                              const backend::Backend& backend,
                                              const EngineOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const Blueprint draft, Draft(file, options));
  return backend.PredictNow(*draft.plan, draft.compile);
}

const model::ModelConfig& Engine::config() const { return state_->parts.config; }
std::shared_ptr<const tokenizer::Tokenizer> Engine::tokenizer() const {
  return state_->parts.tokenizer;
}
int64_t Engine::context_length() const { return state_->parts.options.context_length; }
backend::MemoryUse Engine::memory_use() const { return state_->parts.program->memory_use(); }
std::string Engine::Describe() const { return state_->parts.program->Describe(); }
bool Engine::Settle() {
  state_->Settle(kIdleSettleSeconds);
  return state_->parts.unsettled != nullptr && state_->failure;
}

void Engine::State::Settle(double seconds) {
  if (parts.unsettled == nullptr) return;
  const bool more = parts.program->Settle(seconds);
  failure = CheckFile();
  if (more || !failure) return;
  parts.unsettled->ReleaseMemory();  // what is packed need not be there twice
  parts.unsettled = nullptr;
  // Steps took longer until now; what is remembered of that would let prompts make others wait.
  cost.Restart();
}

Status Engine::State::CheckFile() const {
  return parts.file == nullptr ? Status() : gguf::CheckReadable(*parts.file);
}

bool Engine::idle() const {
  const State& s = *state_;
  return s.waiting.empty() && s.running.empty() && s.embeddings_waiting.empty() &&
         s.embeddings_running.empty();
}

EngineUsage Engine::usage() const {
  const State& s = *state_;
  const auto waiting = std::count_if(s.waiting.begin(), s.waiting.end(), [](const auto& sequence) {
    return !sequence->further_choice();
  });
  return {.waiting = waiting + static_cast<int64_t>(s.embeddings_waiting.size()),
          .running = static_cast<int64_t>(s.running.size() + s.embeddings_running.size()),
          .pages = s.pool.total(),
          .pages_in_use = s.pool.total() - s.pool.free(),
          .pages_touched = s.pages_touched,
          .state_slots = s.pool.states().total(),
          .state_slots_touched = s.slots_touched,
          .unsettled_bytes = s.UnsettledBytes(),
          .untouched_bytes = s.parts.program != nullptr ? s.parts.program->untouched_bytes() : 0,
          .preemptions = s.preemptions,
          .evictions = s.prefixes.evictions(),
          .adapter_bytes = s.adapters.bytes()};
}

int64_t Engine::State::UnsettledBytes() const {
  if (parts.unsettled == nullptr) return 0;
  const backend::MemoryUse memory = parts.program->memory_use();
  return memory.weights - memory.on_device.weights;
}

// Numbers that were free before are taken in order, so the pages with memory are the lowest ones,
// without those that were given back since.
void Engine::State::NoteTouched() {
  const int64_t in_use = pool.total() - pool.free();
  most_pages = std::max(most_pages, in_use);
  pages_touched = std::max(pages_touched, in_use);
  slots_touched = std::max(slots_touched, pool.states().total() - pool.states().free());
}

void Engine::ReleaseMemory() {
  State& s = *state_;
  for (const int32_t page : s.pool.free_numbers()) {
    if (page < s.most_pages) s.parts.program->ReleasePage(page);
  }
  s.pages_touched = s.pool.total() - s.pool.free();
  s.parts.program->ReleaseActivations();
}

Status Engine::State::CheckTokens(std::span<const TokenId> tokens) const {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= parts.vocabulary) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "token {} is not in the vocabulary of {} tokens", token, parts.vocabulary);
    }
  }
  return {};
}

int64_t Engine::State::ContextOf(const GenerateRequest& request) const {
  const int64_t ours = parts.options.context_length;
  return request.context_length > 0 ? std::min(request.context_length, ours) : ours;
}

Status Engine::State::CheckRequest(const GenerateRequest& request) const {
  if (parts.options.embeddings) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the model is loaded for embeddings and cannot generate text");
  }
  if (request.background &&
      (whole_prompts || parts.config.encoder || !parts.options.prefix_cache)) {
    return MakeError(ErrorCode::kUnsupported, "this model keeps no part of a prompt for later");
  }
  if (request.prompt.empty()) return MakeError(ErrorCode::kInvalidArgument, "the prompt is empty");
  const auto length = static_cast<int64_t>(request.prompt.size());
  const bool encodes = parts.config.encoder.has_value();
  if (const int64_t most = parts.options.max_batch_tokens - 1; encodes && length > most)
    return TooLong(length, most, "the encoder reads it at once");
  const int64_t most_at_once = parts.options.max_batch_tokens - parts.options.max_sequences;
  if (whole_prompts && length > most_at_once)
    return TooLong(length, most_at_once, "its tokens see those after them and are read at once");
  if ((whole_prompts || encodes) && request.prompt_logprobs) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a prompt whose tokens see those after them has no logprobs");
  }
  // The text of an encoder gets an end, and the output a beginning.
  const int64_t context = ContextOf(request), others = encodes ? 3 : 1;
  if (length > context - others) {
    return TooLong(length, context - others,
                   fmt::format("with one token of output they do not fit the context of {} tokens: "
                               "send less, or give the model a larger context",
                               context));
  }
  PUNA_RETURN_IF_ERROR(CheckTokens(request.prompt));
  size_t stop_bytes = 0;
  for (const std::string& stop : request.stop) stop_bytes += stop.size();
  if (stop_bytes > kLargestStops) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the stop strings have {} bytes together, at most {} are allowed", stop_bytes,
                     kLargestStops);
  }
  if (request.constraint != nullptr && request.constraint->vocabulary_size() > parts.vocabulary) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the constraint is over a vocabulary of {} tokens, the model has {}",
                     request.constraint->vocabulary_size(), parts.vocabulary);
  }
  return request.sampling.Validate();
}

void Engine::Submit(GenerateRequest request, std::shared_ptr<TokenStream> stream) {
  State& s = *state_;
  if (request.background) stream->LeaveUncounted();
  const auto admit = [&]() -> Status {
    PUNA_RETURN_IF_ERROR(s.CheckRequest(request));
    PUNA_ASSIGN_OR_RETURN(auto adapters, s.adapters.Find(request.adapters));
    if (adapters != nullptr) request.prefix_key = adapters->key;
    const int64_t context_length = s.ContextOf(request);
    if (const auto& encoder = s.parts.config.encoder) {
      // What an encoder reads is a whole text and ends like one, unlike prompts to be continued.
      const size_t given = request.prompt.size();
      const auto end = s.parts.tokenizer ? s.parts.tokenizer->eos() : std::nullopt;
      if (end && request.prompt.back() != *end) request.prompt.push_back(*end);
      request.encoder_tokens = static_cast<int64_t>(request.prompt.size());
      request.prompt.push_back(static_cast<TokenId>(encoder->start_token));
      request.added_tokens = static_cast<int64_t>(request.prompt.size() - given);
      request.shift = false;  // nothing of what the encoder read can be forgotten
    }
    // What is not in the keys that others see can not be left out, or be guessed beside them.
    if (s.whole_prompts) request.shift = request.speculate = false;
    if (request.prefix_key == 0) s.BringBack(request.prompt);
    s.waiting.push_back(std::make_unique<Sequence>(std::move(request), std::move(adapters), stream,
                                                   context_length, s.parts.tokenizer.get(),
                                                   &s.pool));
    return {};
  };
  if (Status status = admit(); !status) stream->Fail(std::move(status).error());
}

Status Engine::PrepareAdapters(const std::vector<AdapterReference>& adapters) {
  PUNA_ASSIGN_OR_RETURN(const auto set, state_->adapters.Find(adapters));
  return {};
}

void Engine::FailAll(const Error& error) {
  State& s = *state_;
  const auto fail_all = [](auto* queue, const auto& fail) {
    while (!queue->empty()) {
      const auto last = std::move(queue->back());
      queue->pop_back();
      fail(*last);
    }
  };
  const auto fail_sequence = [&](Sequence& sequence) { sequence.Fail(error); };
  const auto fail_embedding = [&](Embedding& embedding) { embedding.reply->Fail(error); };
  fail_all(&s.running, fail_sequence);
  fail_all(&s.waiting, fail_sequence);
  fail_all(&s.embeddings_running, fail_embedding);
  fail_all(&s.embeddings_waiting, fail_embedding);
}

Result<std::vector<float>> Engine::Evaluate(std::span<const TokenId> tokens, int64_t chunk,
                                            const std::vector<AdapterReference>& adapters) {
  State& s = *state_;
  if (s.parts.options.embeddings) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the model is loaded for embeddings and has no logits");
  }
  PUNA_RETURN_IF_ERROR(s.CheckTokens(tokens));
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t encoded = s.parts.config.encoder ? count : 0;
  if (count + encoded > context_length() || encoded > s.parts.options.max_batch_tokens) {
    return MakeError(ErrorCode::kContextExceeded, "{} tokens do not fit the context of {} tokens",
                     count + encoded, context_length());
  }
  chunk = std::clamp<int64_t>(chunk, 1, s.parts.options.max_batch_tokens);
  PUNA_ASSIGN_OR_RETURN(const auto set, s.adapters.Find(adapters));
  model::PageTable cache(&s.pool);
  std::vector<float> logits;
  logits.reserve(tokens.size() * static_cast<size_t>(s.parts.output_width));
  if (encoded > 0) {
    s.prefixes.MakeFree(cache.PagesNeeded(encoded), 0);
    PUNA_RETURN_IF_ERROR(cache.Grow(encoded, s.parts.program.get()));
    PUNA_RETURN_IF_ERROR(s.EncodeText(tokens, &cache, AppliedOf(set.get())));
  }
  for (int64_t done = 0; done < count;) {
    const int64_t rows = std::min(chunk, count - done);
    s.prefixes.MakeFree(cache.PagesNeeded(rows), cache.SlotsNeeded(rows));
    PUNA_RETURN_IF_ERROR(cache.Grow(rows, s.parts.program.get()));
    s.batch.Clear();
    s.batch.AddLast(tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(rows)), cache,
                    AppliedOf(set.get()));
    for (int32_t row = 0; row < rows; ++row) s.batch.output_rows.push_back(row);
    PUNA_RETURN_IF_ERROR(s.batch.Run(s.parts.program.get(), rows, s.parts.output_width));
    PUNA_RETURN_IF_ERROR(s.CheckFile());
    logits.insert(logits.end(), s.batch.outputs.begin(), s.batch.outputs.end());
    done += rows;
  }
  return logits;
}

}  // namespace puna::engine
