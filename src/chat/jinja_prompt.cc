// PromptTemplate on Jinja: builds the variables that Hugging Face's chat templates expect and
// renders. What a template does not accept cannot be told from its text, so nothing is probed
// beforehand; a failed rendering is repeated in the other forms.
#include <algorithm>
#include <cctype>
#include <ctime>

#include "chat/chat.h"
#include "chat/jinja/jinja.h"
#include "chat/prepare.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

// Which of the templates' incompatible habits to follow.
struct Form {
  bool arguments_as_text = false;
  bool system_in_user = false;
  bool tools_as_functions = false;  // under the names of older libraries, as text
};

std::string ToText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json MessageToJson(const Message& message, const Form& form) {
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

// Moves the text of system messages to the front of the user message that follows.
std::vector<Message> SystemIntoUser(const std::vector<Message>& messages) {
  std::vector<Message> out;
  std::string pending;
  for (const Message& message : messages) {
    if (message.role == "system") {
      pending += (pending.empty() ? "" : "\n\n") + message.content;
      continue;
    }
    out.push_back(message);
    if (!pending.empty() && message.role == "user") {
      out.back().content = pending + "\n\n" + message.content;
      pending.clear();
    }
  }
  if (!pending.empty()) {
    Message user;
    user.role = "user";
    user.content = pending;
    out.push_back(std::move(user));
  }
  return out;
}

bool Mentions(std::string_view text, std::string_view needle) {
  return text.find(needle) != std::string_view::npos;
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
    const std::vector<Message> messages = WithImageMarkers(request.messages);
    const bool has_calls = std::any_of(messages.begin(), messages.end(),
                                       [](const Message& m) { return !m.tool_calls.empty(); });
    const bool has_system = std::any_of(messages.begin(), messages.end(),
                                        [](const Message& m) { return m.role == "system"; });
    Result<std::string> first = RenderForm(request, messages, {});
    if (first || first.error().code != ErrorCode::kInvalidArgument) return first;
    for (const Form form : {Form{true, false}, Form{false, true}, Form{true, true},
                            Form{false, false, true}, Form{true, false, true}}) {
      if ((form.arguments_as_text && !has_calls) || (form.system_in_user && !has_system) ||
          (form.tools_as_functions && request.tools.empty()))
        continue;
      if (Result<std::string> other = RenderForm(request, messages, form)) return other;
    }
    return first;
  }

 private:
  Result<std::string> RenderForm(const PromptRequest& request, const std::vector<Message>& messages,
                                 const Form& form) const {
    Json variables = request.extra_variables.is_object() ? request.extra_variables : Json::object();
    Json list = Json::array();
    for (const Message& message : form.system_in_user ? SystemIntoUser(messages) : messages) {
      list.push_back(MessageToJson(message, form));
    }
    variables["messages"] = std::move(list);
    variables["tools"] =
        nullptr;  // as Hugging Face does; `tools is defined` holds and `if tools` does not
    if (!request.tools.empty()) {
      Json tools = Json::array();
      for (const Tool& tool : request.tools) tools.push_back(tool.definition);
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
