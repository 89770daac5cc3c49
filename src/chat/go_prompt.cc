// PromptTemplate on Go templates: Ollama's data, and its three ways to execute a template.
//
//   fill in the middle   prompt and suffix, when the request has both
//   conversation         the template mentions .Messages and gets them all
//   single turns         it does not: it is executed once per turn with System, Prompt and
//   Response, and the last time only up to
//                        its .Response, where the model goes on
#include <algorithm>
#include <ctime>

#include "chat/chat.h"
#include "chat/gotemplate/go_functions.h"
#include "chat/gotemplate/go_template.h"
#include "chat/prepare.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

using gotemplate::GoField;
using gotemplate::GoTemplate;
using gotemplate::GoValue;

const Json* Member(const Json* object, std::string_view name) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(name);
  return found == object->end() || found->is_null() ? nullptr : &*found;
}

GoValue Text(const Json* json) {
  return GoValue::String(json != nullptr && json->is_string() ? json->get<std::string>() : "");
}

GoValue Anything(const Json* json) {
  return json != nullptr ? GoValue::FromJson(*json) : GoValue();
}

// What Ollama's types have no fields for, behind what they have: there it is lost, here the model
// sees the whole definition.
std::vector<GoField> WithOthers(std::vector<GoField> known, const Json* json) {
  if (json == nullptr || !json->is_object()) return known;
  const size_t fields = known.size();
  for (const auto& [key, value] : json->items()) {
    const auto is_key = [&key = key](const GoField& field) { return field.json_name == key; };
    const auto end = known.begin() + static_cast<std::ptrdiff_t>(fields);
    if (std::none_of(known.begin(), end, is_key))
      known.push_back({key, GoValue::FromJson(value), key});
  }
  return known;
}

// Properties of a schema as Ollama's ToolProperty.
GoValue Properties(const Json* properties);

GoValue Property(const Json& json) {
  const Json* any_of = Member(&json, "anyOf");
  const Json* type = Member(&json, "type");
  // A list of one type is that type.
  if (type != nullptr && type->is_array() && type->size() == 1) type = &type->front();
  std::vector<GoValue> alternatives;
  if (any_of != nullptr && any_of->is_array()) {
    for (const Json& one : *any_of) alternatives.push_back(Property(one));
  }
  GoValue value = GoValue::Struct(
      "api.ToolProperty",
      WithOthers({{"AnyOf", GoValue::List(std::move(alternatives)), "anyOf", true},
                  {"Type", type != nullptr && type->is_array() ? Anything(type) : Text(type),
                   "type", true},
                  {"Items", Anything(Member(&json, "items")), "items", true},
                  {"Description", Text(Member(&json, "description")), "description", true},
                  {"Enum", Anything(Member(&json, "enum")), "enum", true},
                  {"Properties", Properties(Member(&json, "properties")), "properties", true},
                  {"Required", Anything(Member(&json, "required")), "required", true}},
                 &json));
  return value.WithTypeScript(gotemplate::TypeScriptType(json));
}

GoValue Properties(const Json* properties) {
  if (properties == nullptr || !properties->is_object()) return GoValue();
  std::vector<GoField> entries;
  for (const auto& [name, schema] : properties->items())
    entries.push_back({name, Property(schema)});
  return GoValue::Map(std::move(entries)).PrintedAsJson();
}

GoValue ToolToGo(const Tool& tool) {
  const Json* function = Member(&tool.definition, "function");
  const Json* parameters = Member(function, "parameters");
  const GoValue schema =
      GoValue::Struct(
          "api.ToolFunctionParameters",
          WithOthers({{"Type", Text(Member(parameters, "type")), "type"},
                      {"Defs", Anything(Member(parameters, "$defs")), "$defs", true},
                      {"Items", Anything(Member(parameters, "items")), "items", true},
                      {"Required", Anything(Member(parameters, "required")), "required", true},
                      {"Properties", Properties(Member(parameters, "properties")), "properties"}},
                     parameters))
          .PrintedAsJson();
  const GoValue described =
      GoValue::Struct(
          "api.ToolFunction",
          WithOthers({{"Name", Text(Member(function, "name")), "name"},
                      {"Description", Text(Member(function, "description")), "description"},
                      {"Parameters", schema, "parameters"}},
                     function))
          .PrintedAsJson();
  return GoValue::Struct("api.Tool",
                         {{"Type", Text(Member(&tool.definition, "type")), "type"},
                          {"Items", Anything(Member(&tool.definition, "items")), "items", true},
                          {"Function", described, "function"}})
      .PrintedAsJson();
}

GoValue MessageToGo(const Message& message) {
  std::vector<GoValue> calls;
  for (const ToolCall& call : message.tool_calls) {
    calls.push_back(GoValue::Struct(
        "api.ToolCall",
        {{"ID", GoValue::String(call.id)},
         {"Function",
          GoValue::Struct("api.ToolCallFunction",
                          {{"Index", GoValue::Int(call.index)},
                           {"Name", GoValue::String(call.name)},
                           {"Arguments", GoValue::FromJson(call.arguments).PrintedAsJson()}})}}));
  }
  std::vector<GoValue> images(message.images.size(), GoValue::String(""));
  return GoValue::Struct("api.Message", {{"Role", GoValue::String(message.role)},
                                         {"Content", GoValue::String(message.content)},
                                         {"Thinking", GoValue::String(message.thinking)},
                                         {"Images", GoValue::List(std::move(images))},
                                         {"ToolCalls", GoValue::List(std::move(calls))},
                                         {"ToolName", GoValue::String(message.tool_name)},
                                         {"ToolCallID", GoValue::String(message.tool_call_id)}});
}

// Merges neighbours of the same role, except tool results, and gathers all system messages.
std::vector<Message> Collate(const std::vector<Message>& messages, std::string* system) {
  std::vector<Message> merged;
  bool any_system = false;
  for (const Message& message : WithImageMarkers(messages)) {
    if (message.role == "system") {
      *system += (any_system ? "\n\n" : "") + message.content;
      any_system = true;
    }
    if (!merged.empty() && merged.back().role == message.role && message.role != "tool") {
      merged.back().content += "\n\n" + message.content;
    } else {
      merged.push_back(message);
    }
  }
  return merged;
}

Status CheckDepth(const PromptRequest& request) {
  const auto too_deep = [](const Json& json) { return gotemplate::TooDeep(json); };
  for (const Tool& tool : request.tools) {
    if (too_deep(tool.definition))
      return MakeError(ErrorCode::kInvalidArgument, "a tool is nested deeper than 200 levels");
  }
  for (const Message& message : request.messages) {
    for (const ToolCall& call : message.tool_calls) {
      if (too_deep(call.arguments)) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "the arguments of a tool call are nested deeper than 200 levels");
      }
    }
  }
  return {};
}

class GoPrompt final : public PromptTemplate {
 public:
  GoPrompt(std::shared_ptr<const GoTemplate> program, std::string_view source)
      : PromptTemplate(source, false), program_(std::move(program)) {
    capabilities_.tools = program_->variables().contains("tools");
    capabilities_.insert = program_->variables().contains("suffix");
    gotemplate::InferThinkTags(program_->tree(), &think_tags_.open, &think_tags_.close);
    if (think_tags_.open.empty() || think_tags_.close.empty()) think_tags_ = {};
    output_format_ = DetectOutputFormat(source_, false);
    const OutputFormat* format = FindOutputFormat(output_format_);
    const bool in_channels = format != nullptr && !format->thinking.empty();
    if (in_channels) think_tags_ = {};
    capabilities_.thinking = in_channels || !think_tags_.empty();
    tool_call_tag_ = gotemplate::InferToolCallTag(program_->tree());
  }

  Result<std::string> Render(const PromptRequest& request) const override {
    PUNA_RETURN_IF_ERROR(CheckDepth(request));
    if (!request.suffix.empty()) {
      if (!capabilities_.insert)
        return MakeError(ErrorCode::kUnsupported, "the model's template has no place for a suffix");
      if (!request.prompt.empty()) {
        return Execute(request, {{"Prompt", GoValue::String(request.prompt)},
                                 {"Suffix", GoValue::String(request.suffix)},
                                 {"Response", GoValue::String("")}});
      }
    }
    std::string system;
    const std::vector<Message> messages = Collate(request.messages, &system);
    if (!program_->variables().contains("messages")) return RenderTurns(request, messages);
    std::vector<GoValue> list;
    for (const Message& message : messages) list.push_back(MessageToGo(message));
    std::vector<GoValue> tools;
    for (const Tool& tool : request.tools) tools.push_back(ToolToGo(tool));
    return Execute(request, {{"System", GoValue::String(system)},
                             {"Messages", GoValue::List(std::move(list))},
                             {"Tools", GoValue::List(std::move(tools)).PrintedAsJson()},
                             {"Response", GoValue::String("")}});
  }

 private:
  static GoValue Data(const PromptRequest& request, std::vector<GoField> fields) {
    fields.push_back({"Think", GoValue::Bool(request.think.on)});
    const bool plain = request.think.on && request.think.level.empty();
    fields.push_back({"ThinkLevel", GoValue::String(plain ? "medium" : request.think.level)});
    fields.push_back({"IsThinkSet", GoValue::Bool(request.think.is_set)});
    return GoValue::Map(std::move(fields));
  }

  Result<std::string> Execute(const PromptRequest& request, std::vector<GoField> fields) const {
    return program_->Execute(Data(request, std::move(fields)), request.now);
  }

  Result<std::string> RenderTurns(const PromptRequest& request,
                                  const std::vector<Message>& messages) const {
    std::string out;
    std::string system;
    std::string prompt;
    std::string response;
    const auto turn = [&] {
      return Data(request, {{"System", GoValue::String(std::exchange(system, ""))},
                            {"Prompt", GoValue::String(std::exchange(prompt, ""))},
                            {"Response", GoValue::String(std::exchange(response, ""))}});
    };
    const auto execute = [&]() -> Status {
      PUNA_ASSIGN_OR_RETURN(const std::string text, program_->Execute(turn(), request.now));
      out += text;
      return {};
    };
    for (const Message& message : messages) {
      if (message.role == "system") {
        if (!prompt.empty() || !response.empty()) PUNA_RETURN_IF_ERROR(execute());
        system = message.content;
      } else if (message.role == "user") {
        if (!response.empty()) PUNA_RETURN_IF_ERROR(execute());
        prompt = message.content;
      } else if (message.role == "assistant") {
        response = message.content;
      }
    }
    PUNA_ASSIGN_OR_RETURN(const std::string last,
                          program_->ExecuteUpToResponse(turn(), request.now));
    return out + last;
  }

  std::shared_ptr<const GoTemplate> program_;
};

// The variables of RenderGo as a request. Keys may begin with a capital letter, as templates write
// them.
class CaseReader {
 public:
  explicit CaseReader(const Json& variables) : variables_(variables) {}

  const Json* Get(std::string name) const {
    if (const Json* value = Member(&variables_, name)) return value;
    name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    return Member(&variables_, name);
  }

  std::string GetText(const std::string& name) const {
    const Json* value = Get(name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : "";
  }

  PromptRequest Request() const {
    PromptRequest request;
    const std::time_t now = std::time(nullptr);
    ::localtime_r(&now, &request.now);
    request.prompt = GetText("prompt");
    request.suffix = GetText("suffix");
    if (const Json* think = Get("think")) {
      request.think.is_set = true;
      request.think.on = !think->is_boolean() || think->get<bool>();
      if (think->is_string()) request.think.level = think->get<std::string>();
    }
    if (const Json* tools = Get("tools"); tools != nullptr && tools->is_array()) {
      for (const Json& tool : *tools) request.tools.push_back({tool});
    }
    if (const Json* messages = Get("messages"); messages != nullptr && messages->is_array()) {
      for (const Json& message : *messages) request.messages.push_back(ReadMessage(message));
    } else {  // a single turn
      for (const auto& [key, role] :
           {std::pair{"system", "system"}, {"prompt", "user"}, {"response", "assistant"}}) {
        Message message;
        message.role = role;
        message.content = GetText(key);
        if (!message.content.empty()) request.messages.push_back(std::move(message));
      }
    }
    return request;
  }

 private:
  static Message ReadMessage(const Json& json) {
    const CaseReader reader(json);
    Message message;
    message.role = reader.GetText("role");
    message.content = reader.GetText("content");
    message.thinking = reader.GetText("thinking");
    message.tool_name = reader.GetText("tool_name");
    message.tool_call_id = reader.GetText("tool_call_id");
    const Json* calls = reader.Get("tool_calls");
    if (calls == nullptr || !calls->is_array()) return message;
    for (const Json& item : *calls) {
      const CaseReader call(item);
      const Json* function = call.Get("function");
      if (function == nullptr || !function->is_object()) continue;
      ToolCall& added = message.tool_calls.emplace_back();
      added.id = call.GetText("id");
      added.index = static_cast<int>(message.tool_calls.size()) - 1;
      added.name = CaseReader(*function).GetText("name");
      if (const Json* arguments = CaseReader(*function).Get("arguments"))
        added.arguments = *arguments;
    }
    return message;
  }

  const Json& variables_;
};

}  // namespace

Result<std::shared_ptr<const PromptTemplate>> PromptTemplate::FromGo(std::string_view source) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const GoTemplate> program, GoTemplate::Parse(source));
  return std::make_shared<GoPrompt>(std::move(program), source);
}

std::shared_ptr<const PromptTemplate> PromptTemplate::Default() {
  static const std::shared_ptr<const PromptTemplate> kDefault = *FromGo("{{ .Prompt }}");
  return kDefault;
}

Result<std::string> RenderGo(std::string_view source, const Json& variables) {
  if (!variables.is_object())
    return MakeError(ErrorCode::kInvalidArgument, "the variables must be an object");
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const PromptTemplate> prompt,
                        PromptTemplate::FromGo(source));
  return prompt->Render(CaseReader(variables).Request());
}

}  // namespace puna::chat
