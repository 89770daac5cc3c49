// Preparation runs on the blocking pool: names and manifests, the template, the tokenizer. Then the
// request belongs to the scheduler, and what comes back is parsed on the connection's own thread,
// token by token.
//
// Text of users never becomes a control token although the template's own text does: see
// api/prompt_guard.h.
#include "api/generation.h"

#include <algorithm>
#include <ctime>
#include <random>

#include "api/completion.h"
#include "api/constraint.h"
#include "api/prompt_guard.h"
#include "api/prompt_limit.h"
#include "base/log.h"

namespace puna::api {
namespace {

using tokenizer::TokenId;

std::string RegistryName(const ModelEntry& model) { return model.installed.name.FullName(); }

// What Ollama checks before it computes anything, in its order and words.
Status CheckCapabilities(const ModelEntry& model, GenerationRequest* request) {
  if (model.embedding) {
    return MakeError(ErrorCode::kInvalidArgument, "\"{}\" does not support {}", request->model,
                     request->is_chat ? "chat" : "generate");
  }
  if (model.tokenizer == nullptr) {
    return MakeError(ErrorCode::kUnsupported,
                     "\"{}\" has no vocabulary: it runs on token ids only (puna eval)",
                     request->model);
  }
  const chat::Capabilities& capabilities = model.prompt_template->capabilities();
  if (!request->tools.empty() && !capabilities.tools) {
    return MakeError(ErrorCode::kInvalidArgument, "{} does not support tools", RegistryName(model));
  }
  if (!request->suffix.empty() && !capabilities.insert) {
    return MakeError(ErrorCode::kInvalidArgument, "{} does not support insert",
                     RegistryName(model));
  }
  if (request->think.on && !capabilities.thinking) {
    return MakeError(ErrorCode::kInvalidArgument, "\"{}\" does not support thinking",
                     request->model);
  }
  const bool has_images =
      !request->images.empty() ||
      std::any_of(request->messages.begin(), request->messages.end(),
                  [](const chat::Message& message) { return !message.images.empty(); });
  if (has_images) {
    return MakeError(ErrorCode::kUnsupported, "\"{}\" does not support images", request->model);
  }
  // A model that can think does, unless told not to.
  if (capabilities.thinking && !request->think.is_set) {
    request->think.is_set = true;
    request->think.on = true;
  }
  return {};
}

// The conversation as the template gets it: the model's own messages first, its system prompt
// unless the client has one.
std::vector<chat::Message> Conversation(const ModelEntry& model, const GenerationRequest& request) {
  std::vector<chat::Message> messages;
  const auto add = [&](std::string role, std::string content) {
    chat::Message message;
    message.role = std::move(role);
    message.content = std::move(content);
    messages.push_back(std::move(message));
  };
  const store::InstalledModel& installed = model.installed;
  if (request.is_chat) {
    const bool has_system = !request.messages.empty() && request.messages[0].role == "system";
    if (installed.system && !installed.system->empty() && !has_system)
      add("system", *installed.system);
    for (const store::Message& message : installed.messages) add(message.role, message.content);
    messages.insert(messages.end(), request.messages.begin(), request.messages.end());
    return messages;
  }
  const std::string system = request.system ? *request.system : installed.system.value_or("");
  if (!system.empty()) add("system", system);
  if (request.context.empty()) {
    for (const store::Message& message : installed.messages) add(message.role, message.content);
  }
  add("user", request.prompt);
  return messages;
}

// The model's template, or the one that the request brings.
Result<std::shared_ptr<const chat::PromptTemplate>> TemplateOf(const ModelEntry& model,
                                                               const GenerationRequest& request) {
  if (!request.template_text || request.template_text->empty()) return model.prompt_template;
  return chat::PromptTemplate::FromGo(*request.template_text);
}

chat::PromptRequest MakePromptRequest(const GenerationRequest& request,
                                      std::vector<chat::Message> messages) {
  chat::PromptRequest prompt;
  prompt.messages = std::move(messages);
  prompt.tools = request.tools;
  prompt.think = request.think;
  const std::time_t now = std::time(nullptr);
  ::localtime_r(&now, &prompt.now);
  if (!request.suffix.empty()) {
    prompt.prompt = request.prompt;
    prompt.suffix = request.suffix;
  }
  return prompt;
}

// `text` is as rendered, marks included.
void EncodePrompt(const ModelEntry& model, const GenerationRequest& request,
                  const PromptGuard& guard, const std::string& text, std::vector<TokenId>* ids) {
  const tokenizer::Tokenizer& tokenizer = *model.tokenizer;
  const auto bos = tokenizer.bos();
  const auto eos = tokenizer.eos();
  // A template that writes BOS itself must not get a second one.
  const bool has_bos = bos && text.starts_with(tokenizer.RawTextOf(*bos));
  *ids = request.context;
  guard.Encode(tokenizer, text, /*add_special=*/!has_bos && ids->empty(), ids);
  // Vocabularies that close every text with EOS must not close a prompt.
  const bool closed = eos && ids->size() > 1 && ids->back() == *eos;
  if (closed && !text.ends_with(tokenizer.RawTextOf(*eos))) ids->pop_back();
}

// "call_" and eight characters, as Ollama names calls whose model gave them no id.
std::string MakeToolCallId() {
  static constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyz0123456789";
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id = "call_";
  for (int i = 0; i < 8; ++i) id += kCharacters[random() % kCharacters.size()];
  return id;
}

LogprobEntry MakeLogprobEntry(const tokenizer::Tokenizer& tokenizer,
                              const std::vector<sampler::TokenProbability>& probabilities) {
  LogprobEntry entry;
  entry.token = tokenizer.PieceOf(probabilities[0].token, true);
  entry.logprob = probabilities[0].logprob;
  for (size_t i = 1; i < probabilities.size(); ++i) {
    entry.top.emplace_back(tokenizer.PieceOf(probabilities[i].token, true),
                           probabilities[i].logprob);
  }
  return entry;
}

}  // namespace

void GenerationDelta::Append(GenerationDelta other) {
  content += other.content;
  thinking += other.thinking;
  std::move(other.tool_calls.begin(), other.tool_calls.end(), std::back_inserter(tool_calls));
  std::move(other.logprobs.begin(), other.logprobs.end(), std::back_inserter(logprobs));
}

struct Generation::Prepared {
  std::shared_ptr<const ModelEntry> model;
  scheduler::ModelReference reference;
  engine::GenerateRequest request;
  std::string rendered_prompt;
  int64_t truncated = 0;  // tokens of the prompt that were dropped
  std::unique_ptr<chat::OutputParser> parser;
};

Result<Generation::Prepared> Generation::Prepare(Services& services,
                                                 const GenerationRequest& original) {
  GenerationRequest request = original;
  Prepared out;
  PUNA_ASSIGN_OR_RETURN(out.model, services.catalog->Get(request.model));
  const ModelEntry& model = *out.model;
  PUNA_RETURN_IF_ERROR(CheckCapabilities(model, &request));

  GenerationOptions options;
  PUNA_RETURN_IF_ERROR(ApplyOptions(model.installed.parameters, &options));
  PUNA_RETURN_IF_ERROR(ApplyOptions(request.options, &options));
  out.request.sampling = options.sampling;
  out.request.stop = options.stop;
  out.request.max_tokens = options.num_predict;
  out.request.context_length = options.num_ctx;
  if (request.logprobs) out.request.logprobs = static_cast<int>(request.top_logprobs);

  const std::vector<chat::Message> messages = Conversation(model, request);
  const PromptGuard guard(*model.control_texts, messages);
  std::optional<chat::OutputOptions> output;
  const auto encode = [&](std::vector<chat::Message> kept) -> Result<int64_t> {
    std::string rendered = request.prompt;
    if (!request.raw) {
      guard.Protect(&kept);
      PUNA_ASSIGN_OR_RETURN(const auto prompt_template, TemplateOf(model, request));
      const chat::PromptRequest prompt = MakePromptRequest(request, std::move(kept));
      PUNA_ASSIGN_OR_RETURN(rendered, prompt_template->Render(prompt));
      output = chat::OutputOptionsFor(*prompt_template, prompt, guard.Unmarked(rendered));
    }
    EncodePrompt(model, request, guard, rendered, &out.request.prompt);
    out.rendered_prompt = guard.Unmarked(rendered);
    return static_cast<int64_t>(out.request.prompt.size());
  };
  PUNA_ASSIGN_OR_RETURN(const int64_t whole, encode(messages));

  const PromptLimit limit = LimitOf(options.num_ctx, services.settings.context_length,
                                    model.context_length, request.truncate, request.shift);
  // BOS is kept beside the tokens that are to be kept.
  const int64_t with_bos = options.num_keep >= 0 && model.tokenizer->bos() ? 1 : 0;
  const int64_t keep = std::min<int64_t>(options.num_keep, INT32_MAX) + with_bos;
  out.request.shift = limit.shift;
  out.request.keep_tokens = keep;
  if (limit.truncate && whole >= limit.context) {
    if (request.is_chat) {
      PUNA_ASSIGN_OR_RETURN(const auto kept, DropOldest(messages, limit.context, encode));
      PUNA_RETURN_IF_ERROR(encode(kept.value_or(messages)));  // too long still: the engine says so
    } else {
      DropMiddle(keep, limit.context, &out.request.prompt);
    }
    out.truncated = whole - static_cast<int64_t>(out.request.prompt.size());
    if (out.truncated > 0) {
      LogInfo("{}: {} of the {} tokens of a prompt were dropped for a context of {}", request.model,
              out.truncated, whole, limit.context);
    }
  }
  std::optional<grammar::Part> constraint = request.constraint;
  if (!options.grammar.empty()) constraint = grammar::Part::Gbnf(options.grammar);
  if (output) {
    out.parser = std::make_unique<chat::OutputParser>(*output);
    if (const ToolChoice& choice = request.tool_choice; choice.required) {
      PUNA_ASSIGN_OR_RETURN(constraint, chat::ToolCallsPart(*output, choice.name, choice.several));
    }
    if (constraint) constraint = BehindThinking(*std::move(constraint), *output, request.think.on);
  }
  if (constraint) {
    PUNA_ASSIGN_OR_RETURN(out.request.constraint, model.constraints->Get(*constraint));
  }
  out.reference = model.Reference(/*embeddings=*/false);
  if (request.keep_alive) out.reference.keep_alive = request.keep_alive;
  return out;
}

http::Task<Result<std::unique_ptr<Generation>>> Generation::Start(Services& services,
                                                                  GenerationRequest request) {
  Result<Prepared> prepared =
      co_await OnBlockingPool(services, [&] { return Prepare(services, request); });
  if (!prepared) co_return tl::unexpected(std::move(prepared).error());
  std::unique_ptr<Generation> generation(new Generation());
  generation->model_ = std::move(prepared->model);
  generation->rendered_prompt_ = std::move(prepared->rendered_prompt);
  generation->parser_ = std::move(prepared->parser);
  generation->prompt_truncated_ = prepared->truncated;
  if (request.render_only) {
    generation->finished_ = true;
    co_return generation;
  }
  const auto executor = co_await boost::asio::this_coro::executor;
  generation->notifier_ = std::make_shared<http::Notifier>(executor);
  generation->stream_ =
      services.scheduler->Generate(prepared->reference, std::move(prepared->request));
  generation->stream_->SetNotify([notifier = generation->notifier_] { notifier->Notify(); });
  co_return generation;
}

Generation::~Generation() {
  if (stream_ == nullptr) return;
  stream_->SetNotify(nullptr);
  if (!finished_) stream_->Cancel();
}

std::function<void()> Generation::Canceller() const {
  return [stream = stream_, notifier = notifier_] {
    if (stream != nullptr) stream->Cancel();
    if (notifier != nullptr) notifier->Notify();
  };
}

void Generation::AbsorbParsed(chat::OutputDelta parsed, GenerationDelta* out) {
  out->content += parsed.content;
  out->thinking += parsed.thinking;
  any_tool_calls_ = any_tool_calls_ || !parsed.tool_calls.empty();
  for (chat::ToolCall& call : parsed.tool_calls) {
    if (call.id.empty()) call.id = MakeToolCallId();
    out->tool_calls.push_back(std::move(call));
  }
}

void Generation::Absorb(engine::TokenDelta delta, GenerationDelta* out) {
  if (!delta.logprobs.empty())
    out->logprobs.push_back(MakeLogprobEntry(*model_->tokenizer, delta.logprobs));
  if (parser_ == nullptr) {
    out->content += delta.text;
  } else {
    AbsorbParsed(parser_->Add(delta.text), out);
  }
}

http::Task<Result<std::optional<GenerationDelta>>> Generation::Next() {
  while (!finished_) {
    GenerationDelta delta;
    for (engine::StreamEvent& event : stream_->Take()) {
      switch (event.kind) {
        case engine::StreamEvent::Kind::kDelta:
          Absorb(std::move(event.delta), &delta);
          break;
        case engine::StreamEvent::Kind::kFinished:
          finished_ = true;
          stats_ = std::move(event.stats);
          stats_.prompt_truncated = prompt_truncated_;
          if (parser_ != nullptr) AbsorbParsed(parser_->Finish(), &delta);
          break;
        case engine::StreamEvent::Kind::kFailed:
          finished_ = true;
          co_return tl::unexpected(std::move(event.error));
      }
    }
    if (!delta.empty()) co_return delta;
    if (!finished_ && stream_->cancelled()) {
      finished_ = true;
      co_return MakeError(ErrorCode::kCancelled, "request canceled");
    }
    if (!finished_) co_await notifier_->Wait(std::chrono::hours(1));
  }
  co_return std::nullopt;
}

void TellTruncation(Call& call, const Generation& generation) {
  if (generation.prompt_truncated() == 0) return;
  call.writer.SetHeader("X-Puna-Prompt-Truncated", std::to_string(generation.prompt_truncated()));
}

http::Task<Status> LoadOrUnload(Services& services, const GenerationRequest& request,
                                std::string* done_reason) {
  Result<std::shared_ptr<const ModelEntry>> model =
      co_await OnBlockingPool(services, [&] { return services.catalog->Get(request.model); });
  if (!model) co_return tl::unexpected(std::move(model).error());
  scheduler::ModelReference reference = (*model)->Reference((*model)->embedding);
  if (request.keep_alive) reference.keep_alive = request.keep_alive;
  if (request.keep_alive && request.keep_alive->count() == 0) {
    *done_reason = "unload";
    // A model that is not loaded is unloaded already.
    (void)services.scheduler->Unload(reference.weights);
    co_return Status();
  }
  *done_reason = "load";
  Completion<Result<std::chrono::nanoseconds>> loaded(co_await boost::asio::this_coro::executor);
  services.scheduler->Load(reference, loaded.Callback());
  Result<std::chrono::nanoseconds> load = co_await loaded.Wait();
  if (!load) co_return tl::unexpected(std::move(load).error());
  co_return Status();
}

}  // namespace puna::api
