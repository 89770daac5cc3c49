#include "api/prompt.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace puna::api {
namespace {

using tokenizer::TokenId;

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

// Where a template writes what the last message says; nothing where it does not do so once.
// `rendered` is what it makes of `request`, marks included.
std::optional<TextRange> PlaceOfLast(const chat::PromptTemplate& prompt_template,
                                     const PromptGuard& guard, chat::PromptRequest request,
                                     std::string_view rendered) {
  const std::string placeholder = guard.Placeholder();
  if (request.messages.empty() || !request.suffix.empty()) return std::nullopt;
  request.messages.back().content = placeholder;
  const Result<std::string> other = prompt_template.Render(request);
  const size_t at = other ? other->find(placeholder) : std::string::npos;
  if (at == std::string::npos || at != other->rfind(placeholder)) return std::nullopt;
  const std::string_view before = std::string_view(*other).substr(0, at);
  const std::string_view after = std::string_view(*other).substr(at + placeholder.size());
  if (rendered.size() < before.size() + after.size() || !rendered.starts_with(before) ||
      !rendered.ends_with(after))
    return std::nullopt;
  return TextRange{guard.Unmarked(before).size(),
                   guard.Unmarked(rendered.substr(0, rendered.size() - after.size())).size()};
}

// What the model thought before the last user message and clients sent back as content.
void ForgetThoughts(std::vector<chat::Message>* messages) {
  const auto is_user = [](const chat::Message& message) { return message.role == "user"; };
  const auto end = std::find_if(messages->rbegin(), messages->rend(), is_user);
  for (auto message = end; message != messages->rend(); ++message) {
    if (message->role != "assistant") continue;
    chat::OutputOptions options;
    options.think_tags = {"<think>", "</think>"};
    chat::OutputParser parser(options);
    message->content = parser.Add(message->content).content;
    message->content += parser.Finish().content;
  }
}

}  // namespace

bool ThinksByName(const ModelEntry& model) {
  return JsonString(model.installed.config, "model_family") == "qwen3" ||
         model.installed.name.model == "deepseek-r1";
}

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
    messages.insert(messages.end(), model.messages.begin(), model.messages.end());
    messages.insert(messages.end(), request.messages.begin(), request.messages.end());
    return messages;
  }
  // Ollama's Go client sends the field also where there is nothing in it.
  const bool has_system = request.system && !request.system->empty();
  const std::string system = has_system ? *request.system : installed.system.value_or("");
  if (!system.empty()) add("system", system);
  if (request.context.empty())
    messages.insert(messages.end(), model.messages.begin(), model.messages.end());
  add("user", request.prompt);
  return messages;
}

Result<Prompt> MakePrompt(const ModelEntry& model, const GenerationRequest& request,
                          const PromptGuard& guard, std::vector<chat::Message> messages) {
  Prompt out;
  if (request.raw) {
    out.text = request.prompt;
    out.place = {0, out.text.size()};
    EncodePrompt(model, request, guard, out.text, &out.tokens);
    return out;
  }
  if (ThinksByName(model)) ForgetThoughts(&messages);
  guard.Protect(&messages);
  PUNA_ASSIGN_OR_RETURN(const auto prompt_template, TemplateOf(model, request));
  chat::PromptRequest prompt = MakePromptRequest(request, std::move(messages));
  PUNA_ASSIGN_OR_RETURN(const std::string rendered, prompt_template->Render(prompt));
  out.text = guard.Unmarked(rendered);
  EncodePrompt(model, request, guard, rendered, &out.tokens);
  if (request.prompt_logprobs) out.place = PlaceOfLast(*prompt_template, guard, prompt, rendered);
  if (!prompt.messages.empty()) {  // which the answer may continue
    chat::Message& last = prompt.messages.back();
    last.content = guard.Unmarked(last.content);
    last.thinking = guard.Unmarked(last.thinking);
  }
  out.output = chat::OutputOptionsFor(*prompt_template, prompt, out.text,
                                      JsonString(model.installed.config, "parser"));
  return out;
}

std::vector<TokenId> BeginningOfNextTurn(const ModelEntry& model, const GenerationRequest& request,
                                         std::optional<chat::Message> answer) {
  std::vector<chat::Message> messages = Conversation(model, request);
  // An answer that continues the client's own beginning of it comes back in a form of the client's.
  if (!messages.empty() && messages.back().role == "assistant") return {};
  chat::Message next;
  next.role = "user";
  if (answer && !answer->tool_calls.empty()) {
    next.role = "tool";
    next.tool_name = answer->tool_calls[0].name;
    next.tool_call_id = answer->tool_calls[0].id;
  }
  if (answer) messages.push_back(*std::move(answer));
  if (messages.empty()) return {};
  // Two texts that have nothing in common.
  next.content = "a";
  messages.push_back(std::move(next));
  const PromptGuard guard(*model.control_texts, messages);
  const Result<Prompt> one = MakePrompt(model, request, guard, messages);
  messages.back().content = "1";
  const Result<Prompt> other = MakePrompt(model, request, guard, messages);
  if (!one || !other) return {};
  const auto parted = std::mismatch(one->tokens.begin(), one->tokens.end(), other->tokens.begin(),
                                    other->tokens.end());
  return {one->tokens.begin(), parted.first};
}

}  // namespace puna::api
