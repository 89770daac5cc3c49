// Preparation runs on the blocking pool: names and manifests, the template, the tokenizer. Then the
// request belongs to the scheduler, and what comes back is parsed on the connection's own thread,
// token by token.
#include "api/generation.h"

#include <algorithm>
#include <mutex>

#include "api/completion.h"
#include "api/constraint.h"
#include "api/content_logprobs.h"
#include "api/prompt.h"
#include "api/prompt_limit.h"
#include "api/random_id.h"
#include "base/log.h"
#include "base/text.h"
#include "chat/tool_grammar.h"

namespace puna::api {
namespace {

using tokenizer::TokenId;

// Choices of one call that run or wait for the model at once: the others wait here, where they are
// in nobody's way.
constexpr size_t kMostAtOnce = 256;

std::string RegistryName(const ModelEntry& model) { return model.installed.name.FullName(); }

// What Ollama checks before it computes anything, in its order and words.
Status CheckCapabilities(const ModelEntry& model, const GenerationRequest& request) {
  if (model.embedding) {
    return MakeError(ErrorCode::kInvalidArgument, "\"{}\" does not support {}", request.model,
                     request.is_chat ? "chat" : "generate");
  }
  PUNA_RETURN_IF_ERROR(model.RequireTokenizer(request.model));
  if (const std::string renderer = JsonString(model.installed.config, "renderer");
      !renderer.empty() && !request.raw) {
    if (!chat::IsRenderer(renderer))
      return MakeError(ErrorCode::kInvalidArgument, "unknown renderer \"{}\"", renderer);
    if (model.prompt_template->source() == chat::PromptTemplate::Default()->source()) {
      return MakeError(ErrorCode::kUnsupported,
                       "renderer \"{}\" stands for the chat template of the model file, which has "
                       "none",
                       renderer);
    }
  }
  const chat::Capabilities& capabilities = model.prompt_template->capabilities();
  if (!request.tools.empty() && !capabilities.tools) {
    return MakeError(ErrorCode::kInvalidArgument, "{} does not support tools", RegistryName(model));
  }
  if (!request.suffix.empty() && !capabilities.insert) {
    return MakeError(ErrorCode::kInvalidArgument, "{} does not support insert",
                     RegistryName(model));
  }
  if (request.think.on && !request.think_if_able && !capabilities.thinking) {
    return MakeError(
        ErrorCode::kInvalidArgument, "\"{}\" does not support thinking{}", request.model,
        ThinksByName(model)
            ? ". Pull the model again to get the latest version with full thinking support"
            : "");
  }
  const auto has_images = [](const std::vector<chat::Message>& messages) {
    return std::any_of(messages.begin(), messages.end(),
                       [](const chat::Message& message) { return !message.images.empty(); });
  };
  if (!request.images.empty() || has_images(request.messages) || has_images(model.messages)) {
    return MakeError(ErrorCode::kUnsupported, "\"{}\" does not support images: it has no vision",
                     request.model);
  }
  return {};
}

// Programs read files for the model, pictures too, and send each result again with every turn: a
// refusal would be the end of their conversation. Who asks about a picture gets one.
void DescribePicturesOfTools(std::vector<chat::Message>* messages) {
  for (chat::Message& message : *messages) {
    if (message.role != "tool" || message.images.empty()) continue;
    if (!message.content.empty()) message.content += "\n";
    message.content +=
        message.images.size() == 1
            ? "[a picture, which this model cannot see]"
            : fmt::format("[{} pictures, which this model cannot see]", message.images.size());
    message.images.clear();
  }
}

// A model that can think does, unless told not to. REQUIRES: CheckCapabilities found nothing.
void ChooseThinking(const ModelEntry& model, GenerationRequest* request) {
  const bool able = model.prompt_template->capabilities().thinking;
  if (request->think_if_able && !able) request->think = {};
  if (able && !request->think.is_set) {
    request->think.is_set = true;
    request->think.on = true;
  }
}

// Which tools the model is told of, by the request's tool_choice.
Status ApplyToolChoice(GenerationRequest* request) {
  const ToolChoice& choice = request->tool_choice;
  if (choice.kind == ToolChoice::Kind::kAuto) return {};
  if (choice.kind == ToolChoice::Kind::kNone) {
    request->tools.clear();
    return {};
  }
  const auto wanted = [&](const chat::Tool& tool) { return tool.name() == choice.name; };
  if (choice.kind == ToolChoice::Kind::kNamed)
    std::erase_if(request->tools, [&](const chat::Tool& tool) { return !wanted(tool); });
  if (!request->tools.empty()) return {};
  if (choice.kind == ToolChoice::Kind::kNamed) {
    return MakeError(ErrorCode::kInvalidArgument, "tool_choice names \"{}\", which is no tool",
                     choice.name);
  }
  return MakeError(ErrorCode::kInvalidArgument, "tool_choice asks for a call, there are no tools");
}

void FillEngineRequest(const GenerationRequest& request, const GenerationOptions& options,
                       engine::GenerateRequest* out) {
  out->sampling = options.sampling;
  out->stop = options.stop;
  out->max_tokens = options.num_predict;
  if (request.logprobs) out->logprobs = static_cast<int>(request.top_logprobs);
  out->prompt_logprobs = request.prompt_logprobs;
  out->streamed = request.stream;
  out->return_context = request.return_context;
}

// Control tokens that are marks of the model's output format.
std::vector<TokenId> ShownTokens(const tokenizer::Tokenizer& tokenizer,
                                 const chat::OutputOptions& output) {
  std::vector<TokenId> shown;
  for (const std::string& mark : chat::OutputMarks(output)) {
    std::vector<TokenId> ids;
    tokenizer.Encode(mark, {.parse_special = true, .add_special = false}, &ids);
    if (ids.size() == 1 && tokenizer.PieceOf(ids[0]).empty()) shown.push_back(ids[0]);
  }
  return shown;
}

bool LogsDebug() { return spdlog::should_log(spdlog::level::debug); }

// As "temperature=0.2 stop", for the log: texts may be as private as prompts.
std::string OptionsForLog(const Json& options) {
  std::string text;
  for (const auto& [name, value] : options.items()) {
    if (value.is_null()) continue;
    text += (text.empty() ? "" : " ") + name;
    if (value.is_number() || value.is_boolean()) text += "=" + DumpJson(value);
  }
  return text.empty() ? "none" : Shortened(text);
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
  finished = finished || other.finished;
  content += other.content;
  thinking += other.thinking;
  std::move(other.tool_calls.begin(), other.tool_calls.end(), std::back_inserter(tool_calls));
  std::move(other.logprobs.begin(), other.logprobs.end(), std::back_inserter(logprobs));
  std::move(other.content_logprobs.begin(), other.content_logprobs.end(),
            std::back_inserter(content_logprobs));
  std::move(other.prompt_logprobs.begin(), other.prompt_logprobs.end(),
            std::back_inserter(prompt_logprobs));
}

// A prompt that is ready to run; its choices share it.
struct Generation::Prepared {
  std::shared_ptr<const ModelEntry> model;
  scheduler::ModelReference reference;
  engine::GenerateRequest request;
  std::string rendered_prompt;
  std::string options;                        // that the request set, for the debug log
  std::optional<TextRange> place;             // as in Prompt
  PromptEcho echo;                            // for requests with prompt_logprobs
  int64_t truncated = 0;                      // tokens of the prompt that were dropped
  std::optional<chat::OutputOptions> output;  // nothing: raw
  bool parallel_tool_calls = true;
  // Of a conversation that will probably go on; nothing: of something else.
  std::optional<GenerationRequest> conversation;
  int64_t context = 0;  // tokens that its next turn may have
};

struct Generation::Choice {
  std::shared_ptr<const Prepared> prepared;
  size_t number = 0;                            // among the choices of its prompt
  std::shared_ptr<engine::TokenStream> stream;  // null: not submitted yet
  std::optional<chat::OutputParser> parser;
  ContentLogprobs content_logprobs;
  GenerationDelta arrived;  // what Poll has not handed out yet
  // All of them that came; the other choices of the prompt take them over.
  std::vector<LogprobEntry> prompt_logprobs;
  bool answered = false;  // the first of a prompt: the others may go
  std::optional<Error> error;
  engine::GenerationStats stats;
  bool finished = false;    // the stream has ended
  bool handed_out = false;  // and Poll has said so
  int64_t tool_calls = 0;
  // The whole answer, but for what was thought, where the conversation will probably go on.
  chat::Message said;

  void Absorb(engine::TokenDelta delta);
  void AbsorbParsed(chat::OutputDelta parsed);
};

// What the canceller, which may outlive the Generation, shares with it.
struct Generation::Running {
  explicit Running(boost::asio::any_io_executor executor) : notifier(std::move(executor)) {}
  http::Notifier notifier;
  std::mutex mutex;
  bool cancelled = false;
  std::vector<std::shared_ptr<engine::TokenStream>> streams;

  void Cancel() {
    {
      const std::lock_guard lock(mutex);
      cancelled = true;
      for (const auto& stream : streams) stream->Cancel();
    }
    notifier.Notify();
  }
  void Add(const std::shared_ptr<engine::TokenStream>& stream) {
    const std::lock_guard lock(mutex);
    streams.push_back(stream);
    if (cancelled) stream->Cancel();
  }
};

Result<std::shared_ptr<Generation::Prepared>> Generation::Prepare(
    Call& call, const GenerationRequest& original) {
  GenerationRequest request = original;
  auto out = std::make_shared<Prepared>();
  PUNA_ASSIGN_OR_RETURN(out->model, call.services.catalog->Get(request.model));
  const ModelEntry& model = *out->model;
  PUNA_RETURN_IF_ERROR(ApplyToolChoice(&request));
  DescribePicturesOfTools(&request.messages);
  PUNA_RETURN_IF_ERROR(CheckCapabilities(model, request));
  ChooseThinking(model, &request);
  GenerationOptions options;
  PUNA_RETURN_IF_ERROR(ApplyOptions(model.installed.parameters, &options));
  PUNA_RETURN_IF_ERROR(ApplyOptions(request.options, &options));
  PUNA_RETURN_IF_ERROR(ResolveTokens(*model.tokenizer, &options));
  FillEngineRequest(request, options, &out->request);
  if (LogsDebug()) out->options = OptionsForLog(request.options);
  out->parallel_tool_calls = request.parallel_tool_calls;
  out->reference = model.Reference(/*embeddings=*/false, options);
  if (request.keep_alive) out->reference.keep_alive = request.keep_alive;
  PUNA_RETURN_IF_ERROR(PreparePrompt(call, request, options, out.get()));
  if (request.prompt_logprobs) {
    std::optional<PromptEcho> echo;
    if (out->place) {
      echo = EchoOfText(*model.tokenizer, out->request.prompt, out->rendered_prompt, *out->place,
                        request.prompt);
    }
    out->echo = echo ? *std::move(echo) : EchoOfTokens(*model.tokenizer, out->request.prompt);
  }

  std::optional<grammar::Part> constraint = request.constraint;
  if (!options.grammar.empty()) constraint = grammar::Part::Gbnf(options.grammar);
  if (out->output) {
    const ToolChoice& choice = request.tool_choice;
    out->request.shown_control_tokens = ShownTokens(*model.tokenizer, *out->output);
    const bool thinks = request.think.on;
    if (choice.kind == ToolChoice::Kind::kRequired || choice.kind == ToolChoice::Kind::kNamed) {
      out->request.end_when_complete = true;
      PUNA_ASSIGN_OR_RETURN(constraint, chat::ToolCallsPart(*out->output, choice.name,
                                                            request.parallel_tool_calls, thinks));
    } else if (constraint) {
      constraint = chat::AnswerPart(*std::move(constraint), *out->output, thinks);
    }
  }
  if (constraint) {
    PUNA_ASSIGN_OR_RETURN(out->request.constraint, model.constraints->Get(*constraint));
  }
  // What was dropped to fit will be chosen anew.
  const bool goes_on = request.is_chat && out->output && request.choices == 1;
  if (call.services.settings.prepare && goes_on && out->truncated == 0)
    out->conversation = std::move(request);
  return out;
}

// The prompt's text and tokens, and what is dropped of them.
Status Generation::PreparePrompt(Call& call, const GenerationRequest& request,
                                 const GenerationOptions& options, Prepared* out) {
  const ModelEntry& model = *out->model;
  const PromptLimit limit = LimitOf(options.num_ctx, call.services.settings.context_length,
                                    model.context_length, request.truncate, request.shift);
  // BOS is kept beside the tokens that are to be kept.
  const int64_t with_bos = options.num_keep >= 0 && model.tokenizer->bos() ? 1 : 0;
  const int64_t keep = std::min<int64_t>(options.num_keep, INT32_MAX) + with_bos;
  out->context = out->request.context_length = limit.context;
  out->request.shift = limit.shift;
  out->request.keep_tokens = keep;
  if (!request.prompt_tokens.empty()) {
    out->request.prompt = request.prompt_tokens;
    out->rendered_prompt = model.tokenizer->Decode(request.prompt_tokens, /*with_special=*/true);
    return {};
  }

  const std::vector<chat::Message> messages = Conversation(model, request);
  const PromptGuard guard(*model.control_texts, messages);
  const auto make = [&](std::vector<chat::Message> kept) -> Result<int64_t> {
    PUNA_RETURN_IF_ERROR(CheckClientIsThere(call));
    PUNA_ASSIGN_OR_RETURN(Prompt prompt, MakePrompt(model, request, guard, std::move(kept)));
    out->request.prompt = std::move(prompt.tokens);
    out->rendered_prompt = std::move(prompt.text);
    out->place = prompt.place;
    out->output = std::move(prompt.output);
    return static_cast<int64_t>(out->request.prompt.size());
  };
  PUNA_ASSIGN_OR_RETURN(const int64_t whole, make(messages));
  if (!limit.truncate || whole < limit.context) return {};
  if (request.is_chat) {
    PUNA_ASSIGN_OR_RETURN(const auto kept, DropOldest(messages, limit.context, make));
    PUNA_RETURN_IF_ERROR(make(kept.value_or(messages)));  // too long still: the engine says so
  } else {
    DropMiddle(keep, limit.context, &out->request.prompt);
  }
  out->truncated = whole - static_cast<int64_t>(out->request.prompt.size());
  if (out->truncated > 0) {
    LogInfo("{}: {} of the {} tokens of a prompt were dropped for a context of {}", request.model,
            out->truncated, whole, limit.context);
  }
  return {};
}

Generation::Generation() = default;

http::Task<Result<std::unique_ptr<Generation>>> Generation::Start(Call& call,
                                                                  GenerationRequest request) {
  std::vector<GenerationRequest> requests;
  requests.push_back(std::move(request));
  co_return co_await Start(call, std::move(requests));
}

http::Task<Result<std::unique_ptr<Generation>>> Generation::Start(
    Call& call, std::vector<GenerationRequest> requests) {
  call.model = requests[0].model;
  std::unique_ptr<Generation> generation(new Generation());
  generation->services_ = &call.services;
  generation->request_id_ = call.id;
  const auto executor = co_await boost::asio::this_coro::executor;
  generation->running_ = std::make_shared<Running>(executor);
  const Status prepared = co_await OnBlockingPoolUnlessGone(call, [&]() -> Status {
    for (const GenerationRequest& request : requests) {
      PUNA_ASSIGN_OR_RETURN(auto one, Prepare(call, request));
      generation->AddChoices(std::move(one), request.choices);
    }
    return {};
  });
  if (!prepared) co_return tl::unexpected(prepared.error());
  const bool render_only = requests[0].render_only;
  for (const auto& choice : generation->choices_) {
    // The others of a prompt wait for the first one's first token: then they find the prompt in the
    // prefix cache instead of all computing it.
    if (render_only) {
      choice->finished = choice->handed_out = true;
    } else if (choice->number == 0) {
      generation->next_.push_back(choice.get());
    }
  }
  generation->SubmitNext();
  co_return generation;
}

void Generation::AddChoices(std::shared_ptr<Prepared> prepared, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    auto choice = std::make_unique<Choice>();
    choice->prepared = prepared;
    choice->number = static_cast<size_t>(i);
    choice->arrived.choice = choices_.size();
    if (prepared->output) choice->parser.emplace(*prepared->output);
    choices_.push_back(std::move(choice));
  }
}

// What ends makes room.
void Generation::SubmitNext() {
  for (; !next_.empty() && submitted_ < kMostAtOnce; next_.pop_front()) Submit(*next_.front());
}

void Generation::Submit(Choice& choice) {
  ++submitted_;
  engine::GenerateRequest request = choice.prepared->request;
  request.further_choice = choice.arrived.choice > 0;  // the first stands for the call
  if (choice.number > 0) request.prompt_logprobs = false;
  if (int64_t& seed = request.sampling.seed; seed >= 0) {
    // Behind the largest seed comes 0: negative ones are chosen at random.
    seed = static_cast<int64_t>((static_cast<uint64_t>(seed) + choice.number) & INT64_MAX);
  }
  choice.stream = services_->scheduler->Generate(choice.prepared->reference, std::move(request));
  running_->Add(choice.stream);
  choice.stream->SetNotify([running = running_] { running->notifier.Notify(); });
}

Generation::~Generation() {
  for (const auto& choice : choices_) {
    if (choice->stream == nullptr) continue;
    choice->stream->SetNotify(nullptr);
    if (!choice->finished) choice->stream->Cancel();
  }
}

std::function<void()> Generation::Canceller() const {
  return [running = running_] { running->Cancel(); };
}

const engine::GenerationStats& Generation::stats(size_t choice) const {
  return choices_[choice]->stats;
}
bool Generation::any_tool_calls(size_t choice) const { return choices_[choice]->tool_calls > 0; }
int64_t Generation::prompt_truncated() const {
  int64_t sum = 0;
  for (const auto& choice : choices_) sum += choice->number == 0 ? choice->prepared->truncated : 0;
  return sum;
}
const std::string& Generation::rendered_prompt(size_t choice) const {
  return choices_[choice]->prepared->rendered_prompt;
}
const std::vector<TokenId>& Generation::prompt_tokens(size_t choice) const {
  return choices_[choice]->prepared->request.prompt;
}
const PromptEcho& Generation::prompt_echo(size_t choice) const {
  return choices_[choice]->prepared->echo;
}
const ModelEntry& Generation::model() const { return *choices_[0]->prepared->model; }

void Generation::Choice::AbsorbParsed(chat::OutputDelta parsed) {
  content_logprobs.Take(parsed.content, parser->undecided_bytes(), &arrived.content_logprobs);
  if (prepared->conversation) said.content += parsed.content;
  arrived.content += parsed.content;
  arrived.thinking += parsed.thinking;
  for (chat::ToolCall& call : parsed.tool_calls) {
    if (tool_calls > 0 && !prepared->parallel_tool_calls) break;
    ++tool_calls;
    // As Ollama names calls whose model gave them no id.
    if (call.id.empty()) call.id = RandomId("call_", 8);
    if (prepared->conversation) said.tool_calls.push_back(call);
    arrived.tool_calls.push_back(std::move(call));
  }
}

void Generation::Choice::Absorb(engine::TokenDelta delta) {
  std::optional<LogprobEntry> entry;
  if (!delta.logprobs.empty())
    entry = MakeLogprobEntry(*prepared->model->tokenizer, delta.logprobs);
  if (entry && delta.of_prompt) prompt_logprobs.push_back(*entry);
  if (entry) (delta.of_prompt ? arrived.prompt_logprobs : arrived.logprobs).push_back(*entry);
  if (delta.of_prompt) return;
  if (parser) {
    content_logprobs.Add(std::move(entry), delta.text);
    AbsorbParsed(parser->Add(delta.text));
  } else {
    arrived.content += delta.text;
  }
}

void Generation::ExpectNextTurn(Choice& choice) {
  if (!choice.prepared->conversation) return;
  choice.said.role = "assistant";
  const auto tokens = [prepared = choice.prepared, answer = std::move(choice.said)] {
    auto next = BeginningOfNextTurn(*prepared->model, *prepared->conversation, answer);
    if (std::cmp_greater_equal(next.size(), prepared->context)) next.clear();
    return next;
  };
  services_->scheduler->Expect(choice.prepared->reference, tokens);
}

void Generation::LogEnd(const Choice& choice) const {
  if (!LogsDebug()) return;
  const engine::GenerationStats& stats = choice.stats;
  const auto milliseconds = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  LogDebug(
      "{} {}: options set: {}; prompt of {} tokens, {} of them cached; {} tokens out; {:.1f} ms in "
      "the queue, {:.1f} ms to load, first token after {:.1f} ms, end after {:.1f} ms: {}",
      request_id_, choice.prepared->reference.name, choice.prepared->options, stats.prompt_tokens,
      stats.cached_prompt_tokens, stats.generated_tokens,
      milliseconds(stats.total - stats.load - stats.prompt - stats.generate),
      milliseconds(stats.load), milliseconds(stats.total - stats.generate),
      milliseconds(stats.total), stats.reason == engine::FinishReason::kLength ? "length" : "stop");
}

void Generation::TakeEvents(Choice& choice) {
  if (choice.stream == nullptr || choice.finished) return;
  // Asked first: a stream that fails is cancelled after its reason is there.
  const bool cancelled = choice.stream->cancelled();
  std::vector<engine::StreamEvent> events = choice.stream->Take();
  bool answers = false;
  for (engine::StreamEvent& event : events) {
    answers = answers || event.kind != engine::StreamEvent::Kind::kDelta || !event.delta.of_prompt;
    switch (event.kind) {
      case engine::StreamEvent::Kind::kDelta:
        choice.Absorb(std::move(event.delta));
        break;
      case engine::StreamEvent::Kind::kFinished:
        choice.finished = true;
        choice.stats = std::move(event.stats);
        choice.stats.prompt_truncated = choice.prepared->truncated;
        if (choice.parser) choice.AbsorbParsed(choice.parser->Finish());
        LogEnd(choice);
        ExpectNextTurn(choice);
        break;
      case engine::StreamEvent::Kind::kFailed:
        choice.finished = true;
        choice.error = std::move(event.error);
        break;
    }
  }
  if (answers && choice.number == 0 && !std::exchange(choice.answered, true)) {
    for (const auto& other : choices_) {
      if (other.get() == &choice || other->prepared != choice.prepared) continue;
      other->arrived.prompt_logprobs = choice.prompt_logprobs;
      next_.push_back(other.get());
    }
  }
  if (!choice.finished && cancelled) {
    choice.finished = true;
    choice.error = Error{ErrorCode::kCancelled, "request canceled"};
  }
  if (choice.finished) --submitted_;
  SubmitNext();
}

// The next thing to say, without waiting; nothing if there is none now. Choices take turns.
Result<std::optional<GenerationDelta>> Generation::Poll() {
  for (size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = *choices_[(next_choice_ + i) % choices_.size()];
    if (choice.handed_out) continue;
    TakeEvents(choice);
    if (choice.arrived.empty() && !choice.finished) continue;
    next_choice_ = choice.arrived.choice + 1;
    GenerationDelta fresh;
    fresh.choice = choice.arrived.choice;
    GenerationDelta delta = std::exchange(choice.arrived, std::move(fresh));
    if (choice.finished && choice.error && delta.empty()) {
      choice.handed_out = true;
      return tl::unexpected(*choice.error);
    }
    // What came before an error is told before it.
    delta.finished = choice.finished && !choice.error;
    choice.handed_out = delta.finished;
    return delta;
  }
  return std::nullopt;
}

http::Task<Result<std::optional<GenerationDelta>>> Generation::Next() {
  while (true) {
    Result<std::optional<GenerationDelta>> next = Poll();
    if (!next || next->has_value()) co_return next;
    const bool ended = std::all_of(choices_.begin(), choices_.end(),
                                   [](const auto& choice) { return choice->handed_out; });
    if (ended) co_return std::nullopt;
    co_await running_->notifier.Wait(std::chrono::hours(1));
  }
}

http::Task<Result<std::vector<GenerationDelta>>> Generation::Collect() {
  std::vector<GenerationDelta> all(choices_.size());
  for (size_t i = 0; i < all.size(); ++i) all[i].choice = i;
  while (true) {
    Result<std::optional<GenerationDelta>> next = co_await Next();
    if (!next) co_return tl::unexpected(std::move(next).error());
    if (!next->has_value()) co_return all;
    const size_t choice = (*next)->choice;
    all[choice].Append(**std::move(next));
  }
}

http::Task<bool> Generation::Ready(std::chrono::nanoseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    bool ended = true;
    for (const auto& choice : choices_) {
      TakeEvents(*choice);
      if (choice->handed_out) continue;
      ended = false;
      if (choice->finished || !choice->arrived.empty()) co_return true;
    }
    const auto left = deadline - std::chrono::steady_clock::now();
    if (ended || left <= std::chrono::nanoseconds(0)) co_return ended;
    co_await running_->notifier.Wait(left);
  }
}

void TellTruncation(Call& call, const Generation& generation) {
  if (generation.prompt_truncated() == 0) return;
  call.writer.SetHeader("X-Puna-Prompt-Truncated", std::to_string(generation.prompt_truncated()));
}

namespace {

// Unloads what is in memory under a name, whatever that means in the store by now. False if nothing
// is.
bool UnloadNamed(Services& services, const std::string& written) {
  const auto name = store::ModelName::Parse(written);
  bool found = false;
  for (const scheduler::ResidentModel& resident : services.scheduler->List()) {
    if (!name || !EqualIgnoringCase(resident.name, name->ShortName())) continue;
    found = true;
    (void)services.scheduler->Unload(resident.weights);
  }
  return found;
}

}  // namespace

http::Task<Status> LoadOrUnload(Call& call, const GenerationRequest& request,
                                std::string* done_reason) {
  call.model = request.model;
  Services& services = call.services;
  Result<std::shared_ptr<const ModelEntry>> model =
      co_await OnBlockingPool(services, [&] { return services.catalog->Get(request.model); });
  const bool unload = request.keep_alive && request.keep_alive->count() == 0;
  if (unload && UnloadNamed(services, request.model) && !model) {
    *done_reason = "unload";
    co_return Status();
  }
  if (!model) co_return tl::unexpected(std::move(model).error());
  GenerationOptions options;
  if (Status read = ApplyOptions((*model)->installed.parameters, &options); !read) co_return read;
  if (Status read = ApplyOptions(request.options, &options); !read) co_return read;
  scheduler::ModelReference reference = (*model)->Reference((*model)->embedding, options);
  if (request.keep_alive) reference.keep_alive = request.keep_alive;
  if (unload) {
    *done_reason = "unload";
    // A model that is not loaded is unloaded already.
    (void)services.scheduler->Unload(reference.weights);
    co_return Status();
  }
  *done_reason = "load";
  Completion<Result<std::chrono::nanoseconds>> loaded(co_await boost::asio::this_coro::executor);
  call.writer.OnClientGone(services.scheduler->Load(reference, loaded.Callback()));
  Result<std::chrono::nanoseconds> load = co_await loaded.Wait();
  if (!load) co_return tl::unexpected(std::move(load).error());
  GenerationRequest first_turn = request;
  first_turn.is_chat = true;
  if (!CheckCapabilities(**model, first_turn)) co_return Status();
  ChooseThinking(**model, &first_turn);
  const auto tokens = [entry = *model, first_turn = std::move(first_turn)] {
    return BeginningOfNextTurn(*entry, first_turn, std::nullopt);
  };
  services.scheduler->Expect(reference, tokens);
  co_return Status();
}

}  // namespace puna::api
