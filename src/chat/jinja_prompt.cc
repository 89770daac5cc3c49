// PromptTemplate on Jinja: builds the variables that Hugging Face's chat templates expect and
// renders. What a template does not accept cannot be told from its text, so nothing is probed
// beforehand; a failed rendering is repeated in the other forms.
#include <algorithm>
#include <ctime>
#include <optional>

#include "base/text.h"
#include "chat/chat.h"
#include "chat/jinja/jinja.h"
#include "chat/jinja_form.h"
#include "chat/pattern.h"
#include "chat/prepare.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

std::string ToText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json MessageToJson(const Message& message, const JinjaForm& form) {
  Json json = {{"role", message.role}, {"content", message.content}};
  if (!message.thinking.empty()) {  // templates of different families use either name
    json["reasoning_content"] = message.thinking;
    json["thinking"] = message.thinking;
  }
  for (const ToolCall& call : message.tool_calls) {
    Json arguments = call.arguments;
    if (form.arguments_as_text) arguments = ToText(call.arguments);
    json["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", std::move(arguments)}}}});
  }
  if (!message.tool_name.empty()) json["name"] = message.tool_name;
  if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
  return json;
}

bool IsEmptyAnswer(const Message& message) {
  return message.role == "assistant" && message.content.empty() && message.thinking.empty() &&
         message.tool_calls.empty();
}

bool Mentions(std::string_view text, std::string_view needle) {
  return text.find(needle) != std::string_view::npos;
}

// Some templates pass over system messages behind the first without an error. In the time of the
// text, as each is looked for behind the one before it.
bool HasLaterSystemMessages(std::string_view text, const std::vector<Message>& messages) {
  size_t at = 0;
  for (size_t i = 1; i < messages.size(); ++i) {
    if (messages[i].role != "system") continue;
    const std::string_view content = WithoutSpaceAround(messages[i].content);
    at = FindText(text, content, at);
    if (at == std::string_view::npos) return false;
    at += content.size();
  }
  return true;
}

ThinkTags FindThinkTags(std::string_view source) {
  static constexpr std::pair<std::string_view, std::string_view> kTags[] = {
      {"<think>", "</think>"},
      {"[THINK]", "[/THINK]"},
      {"<seed:think>", "</seed:think>"},
      {"<mm:think>", "</mm:think>"},
      {"<|START_THINKING|>", "<|END_THINKING|>"},
      {"<|channel>thought", "<channel|>"},
      {"<|inner_prefix|>", "<|inner_suffix|>"},
      {"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"}};
  for (const auto& [open, close] : kTags) {
    if (Mentions(source, open) && Mentions(source, close))
      return {std::string(open), std::string(close)};
  }
  // Hunyuan 3 puts its tags together from parts.
  if (Mentions(source, "<think{}>") && Mentions(source, ":opensource"))
    return {"<think:opensource>", "</think:opensource>"};
  return {};
}

class JinjaPrompt final : public PromptTemplate {
 public:
  JinjaPrompt(std::shared_ptr<const jinja::Template> program, std::string_view source,
              std::string_view bos_token, std::string_view eos_token)
      : PromptTemplate(source, true),
        program_(std::move(program)),
        bos_token_(bos_token),
        eos_token_(eos_token) {
    capabilities_.tools = Mentions(source, "tools") || Mentions(source, "tool_call");
    output_format_ = DetectOutputFormat(source, true);
    const OutputFormat* format = FindOutputFormat(output_format_);
    const bool in_channels = format != nullptr && !format->thinking.empty();
    if (!in_channels) think_tags_ = FindThinkTags(source);
    capabilities_.thinking = in_channels || !think_tags_.empty();
  }

  Result<std::string> Render(const PromptRequest& request) const override {
    if (!request.suffix.empty()) {
      return MakeError(ErrorCode::kUnsupported, "the model's template has no place for a suffix");
    }
    std::vector<Message> messages = WithImageMarkers(request.messages);
    // An answer whose beginning is empty is one that has not begun.
    if (request.add_generation_prompt && messages.size() > 1 && IsEmptyAnswer(messages.back()))
      messages.pop_back();
    std::optional<std::string> in_part;
    const auto render = [&](const JinjaForm& form) -> Result<std::string> {
      Result<std::string> text = RenderForm(request, messages, form);
      if (!text || HasLaterSystemMessages(*text, messages)) return text;
      if (!in_part) in_part = *std::move(text);
      return MakeError(ErrorCode::kInvalidArgument, "the template passes over a system message");
    };
    Result<std::string> text = RenderInForms(request, render);
    if (!text && in_part) return *std::move(in_part);
    return text;
  }

 private:
  Result<std::string> RenderForm(const PromptRequest& request, std::vector<Message> messages,
                                 const JinjaForm& form) const {
    if (!request.add_generation_prompt || ContinuedMessage(messages) == nullptr)
      return RenderAll(request, InForm(std::move(messages), form), form);
    // The template writes the message as one of the past, with all that it closes such a message
    // with, which is what a mark behind the text tells apart.
    static constexpr std::string_view kEnd = "\xEF\xBF\xBF";  // U+FFFF, a noncharacter
    const Message last = messages.back();
    (last.content.empty() ? messages.back().thinking : messages.back().content) += kEnd;
    PromptRequest past = request;
    past.add_generation_prompt = false;
    if (const Result<std::string> text = RenderAll(past, InForm(messages, form), form)) {
      const size_t end = text->rfind(kEnd);
      if (end != std::string::npos) return text->substr(0, end);
    }
    // It has no place for such a message, or refuses it.
    messages.pop_back();
    PUNA_ASSIGN_OR_RETURN(const std::string prompt,
                          RenderAll(request, InForm(std::move(messages), form), form));
    return Continued(prompt, last);
  }

  // `prompt`, which asks for an answer, with the beginning of one.
  std::string Continued(const std::string& prompt, const Message& answer) const {
    const OutputFormat* format = FindOutputFormat(output_format_);
    const bool thinks = answer.content.empty();
    if (think_tags_.empty()) {
      if (format == nullptr) return thinks ? prompt : prompt + answer.content;
      if (thinks && format->thinking.empty()) return prompt;
      return prompt + (thinks ? TextWithoutSlots(format->thinking) + answer.thinking
                              : format->content_open + answer.content);
    }
    const size_t end = prompt.find_last_not_of(" \t\r\n");
    const bool opened = std::string_view(prompt).substr(0, end + 1).ends_with(think_tags_.open);
    const std::string open = opened ? prompt : prompt + think_tags_.open + "\n";
    if (thinks) return open + answer.thinking;
    if (!opened) return prompt + answer.content;
    return open + answer.thinking + "\n" + think_tags_.close + "\n\n" + answer.content;
  }

  Result<std::string> RenderAll(const PromptRequest& request, const std::vector<Message>& messages,
                                const JinjaForm& form) const {
    Json variables = request.extra_variables.is_object() ? request.extra_variables : Json::object();
    Json list = Json::array();
    for (const Message& message : messages) list.push_back(MessageToJson(message, form));
    variables["messages"] = std::move(list);
    variables["tools"] =
        nullptr;  // as Hugging Face does; `tools is defined` holds and `if tools` does not
    if (!request.tools.empty() || form.no_tools_as_list || form.tools_as_functions) {
      Json tools = Json::array();
      for (Tool& tool : InForm(request.tools, form)) tools.push_back(std::move(tool.definition));
      variables["tools"] = std::move(tools);
    }
    if (form.tools_as_functions) {
      char date[64];
      const size_t size = std::strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &request.now);
      variables.emplace("functions", ToText(variables["tools"]));
      variables.emplace("datetime", std::string(date, size));
    }
    variables.emplace("documents", nullptr);
    variables["add_generation_prompt"] = request.add_generation_prompt;
    variables["bos_token"] = bos_token_;
    variables["eos_token"] = eos_token_;
    if (request.think.is_set) {  // unset leaves the template's own default
      variables["enable_thinking"] = request.think.on;
      variables["thinking"] = request.think.on;
      if (!request.think.level.empty()) variables["reasoning_effort"] = request.think.level;
    }
    jinja::RenderOptions options;
    options.now = request.now;
    options.allow_list_changes = true;
    return program_->Render(variables, options);
  }

  std::shared_ptr<const jinja::Template> program_;
  std::string bos_token_;
  std::string eos_token_;
};

// "2026-01-15T10:30:00", with the day of the week computed.
Result<std::tm> ParseTime(const std::string& text) {
  std::tm time = {};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr || *end != '\0') {
    return MakeError(ErrorCode::kInvalidArgument,
                     "strftime_now is '{}', expected a time such as 2026-01-15T10:30:00", text);
  }
  return time;
}

}  // namespace

Result<std::shared_ptr<const PromptTemplate>> PromptTemplate::FromJinja(
    std::string_view source, std::string_view bos_token, std::string_view eos_token) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const jinja::Template> program,
                        jinja::Template::Parse(source));
  return std::make_shared<JinjaPrompt>(std::move(program), source, bos_token, eos_token);
}

Result<std::string> RenderJinja(std::string_view source, const Json& variables) {
  if (!variables.is_object())
    return MakeError(ErrorCode::kInvalidArgument, "the variables must be an object");
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const jinja::Template> program,
                        jinja::Template::Parse(source));
  jinja::RenderOptions options;
  const std::time_t now = std::time(nullptr);
  ::localtime_r(&now, &options.now);
  Json seen = variables;
  if (const auto time = seen.find("strftime_now"); time != seen.end()) {
    if (!time->is_string())
      return MakeError(ErrorCode::kInvalidArgument, "strftime_now must be a string");
    PUNA_ASSIGN_OR_RETURN(options.now, ParseTime(time->get<std::string>()));
    seen.erase("strftime_now");
  }
  return program->Render(seen, options);
}

}  // namespace puna::chat
