// The order of the events is OpenAI's: a response begins, items of its output open and close one
// after another, each with its parts and their deltas, and the response ends. What is not streamed
// is made by the same builder, whose events nobody sends.
#include "api/openai_responses.h"

#include <algorithm>

#include "api/errors.h"
#include "api/fields.h"
#include "api/openai_types.h"
#include "api/random_id.h"

namespace puna::api {
namespace {

constexpr std::string_view kResponsesRequest = "ResponsesRequest";
constexpr std::string_view kToolType = "responses.Tool";

// The turn of the assistant that an item belongs to: the last message, or a new one.
chat::Message& AssistantTurn(std::vector<chat::Message>* messages) {
  if (messages->empty() || messages->back().role != "assistant") {
    messages->emplace_back().role = "assistant";
  }
  return messages->back();
}

// Summaries are what clients show, "encrypted_content" is what they send back: here the same plain
// text.
std::string ThinkingOf(const Json& item) {
  std::string text;
  for (const char* field : {"content", "summary"}) {
    const Json parts = item.value(field, Json::array());
    for (const Json& part : parts) text += JsonString(part, "text");
    if (!text.empty()) break;
  }
  return JsonString(item, "encrypted_content", text);
}

Status ReadMessageItem(const Json& item, std::vector<chat::Message>* messages) {
  chat::Message message;
  message.role = ReadOpenAiRole(item);
  PUNA_RETURN_IF_ERROR(ReadOpenAiContent(item.value("content", Json()), &message));
  // Thinking comes as an item of its own before the text that it led to.
  const bool continues = message.role == "assistant" && !messages->empty() &&
                         messages->back().role == "assistant" && messages->back().content.empty() &&
                         messages->back().tool_calls.empty();
  if (continues) {
    messages->back().content = std::move(message.content);
  } else {
    messages->push_back(std::move(message));
  }
  return {};
}

// A result follows the turn with its call, so what the assistant said or called between the two is
// part of that turn; templates refuse results that stand elsewhere.
void JoinTurnOfCall(const std::string& id, std::vector<chat::Message>* messages) {
  auto turn = messages->end();
  for (auto at = messages->end(); at != messages->begin() && std::prev(at)->role == "assistant";) {
    --at;
    const bool has_call = std::any_of(at->tool_calls.begin(), at->tool_calls.end(),
                                      [&](const chat::ToolCall& call) { return call.id == id; });
    if (!has_call) continue;
    turn = at;
    break;
  }
  if (turn == messages->end()) return;
  for (auto later = turn + 1; later != messages->end(); ++later) {
    if (!turn->content.empty() && !later->content.empty()) turn->content += "\n";
    turn->content += later->content;
    turn->thinking += later->thinking;
    for (chat::ToolCall& call : later->tool_calls) {
      call.index = static_cast<int>(turn->tool_calls.size());
      turn->tool_calls.push_back(std::move(call));
    }
    std::move(later->images.begin(), later->images.end(), std::back_inserter(turn->images));
  }
  messages->erase(turn + 1, messages->end());
}

Status ReadItem(const Json& item, const ToolNames& names, std::vector<chat::Message>* messages) {
  if (!item.is_object())
    return MakeError(ErrorCode::kInvalidArgument, "input items must be objects");
  std::string type = item.contains("role") ? "message" : "";
  std::string role, space, name, call_id, arguments;
  Fields fields(item, "ResponsesRequest.input");
  fields.Read("type", &type);
  fields.Read("role", &role);
  fields.Read("namespace", &space);
  fields.Read("name", &name);
  fields.Read("call_id", &call_id);
  fields.Read("arguments", &arguments);
  PUNA_RETURN_IF_ERROR(fields.status());
  if (type == "message") return ReadMessageItem(item, messages);
  if (type == "reasoning") {
    AssistantTurn(messages).thinking += ThinkingOf(item);
    return {};
  }
  if (type == "function_call") {
    chat::ToolCall call;
    call.id = call_id;
    call.name = names.ForModel(space, name);
    PUNA_ASSIGN_OR_RETURN(call.arguments, ParseToolArguments(arguments));
    chat::Message& turn = AssistantTurn(messages);
    call.index = static_cast<int>(turn.tool_calls.size());
    turn.tool_calls.push_back(std::move(call));
    return {};
  }
  if (type == "function_call_output") {
    chat::Message message;
    message.role = "tool";
    message.tool_call_id = call_id;
    JoinTurnOfCall(call_id, messages);
    PUNA_RETURN_IF_ERROR(ReadOpenAiContent(item.value("output", Json()), &message));
    messages->push_back(std::move(message));
    return {};
  }
  if (type == "web_search_call") return {};
  return MakeError(ErrorCode::kInvalidArgument, "input item of type \"{}\" is not supported", type);
}

Status ReadInput(const Json& json, const std::string& instructions, const ToolNames& names,
                 std::vector<chat::Message>* messages) {
  if (!instructions.empty()) {
    chat::Message& system = messages->emplace_back();
    system.role = "system";
    system.content = instructions;
  }
  const Json input = json.value("input", Json());
  if (input.is_string()) {
    chat::Message& user = messages->emplace_back();
    user.role = "user";
    user.content = input.get<std::string>();
    return {};
  }
  if (!input.is_array() || input.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "input must be a string or a list of at least one item");
  }
  for (const Json& item : input) PUNA_RETURN_IF_ERROR(ReadItem(item, names, messages));
  NameResults(messages);
  return {};
}

// `space` is the namespace that the tool is in.
Status ReadTool(const Json& json, const std::string& owner, const std::string& space,
                ToolNames* names, std::vector<chat::Tool>* tools) {
  std::string type, name;
  std::optional<std::string> description;
  std::optional<bool> strict;
  Fields tool(json, owner);
  tool.Read("type", &type);
  tool.Read("name", &name);
  PUNA_RETURN_IF_ERROR(tool.status());
  if (type == "namespace" && space.empty()) {
    PUNA_ASSIGN_OR_RETURN(const Json* members, tool.FindObjects("tools", kToolType));
    if (members == nullptr) return {};
    for (const Json& member : *members)
      PUNA_RETURN_IF_ERROR(ReadTool(member, tool.OwnerOf("tools"), name, names, tools));
    return {};
  }
  // The web is searched by a service of ollama.com, which puna does not use: the model is not told
  // of the tool, and answers from what it knows.
  if (type.starts_with("web_search")) return {};
  if (type != "function")
    return MakeError(ErrorCode::kUnsupported, "tools of type \"{}\" are not supported", type);
  tool.Read("description", &description);
  tool.Read("strict", &strict);
  PUNA_ASSIGN_OR_RETURN(const Json* parameters, tool.FindObject("parameters", "json.Schema"));
  Json function = {{"name", names->Add(space, name)}};
  if (description) function["description"] = *description;
  if (parameters != nullptr) function["parameters"] = *parameters;
  if (strict) function["strict"] = *strict;
  tools->push_back({{{"type", "function"}, {"function", std::move(function)}}});
  return {};
}

// Puts what the model is told of a tool for what the client calls it, in a choice or its entries.
void RenameChosenTools(const ToolNames& names, Json* choice) {
  if (!choice->is_object()) return;
  const std::string name = JsonString(*choice, "name");
  if (!name.empty()) (*choice)["name"] = names.ForModel(JsonString(*choice, "namespace"), name);
  const auto listed = choice->find("tools");
  if (listed == choice->end() || !listed->is_array()) return;
  for (Json& tool : *listed) RenameChosenTools(names, &tool);
}

Status RefuseStoredState(const Json& json, Fields* fields) {
  constexpr const char* kNotStored = "responses are not stored, send the whole input";
  PUNA_RETURN_IF_ERROR(RefuseFields(json, {{"previous_response_id", kNotStored},
                                           {"conversation", kNotStored},
                                           {"prompt", kNotStored}}));
  bool background = false;
  fields->Read("background", &background);
  PUNA_RETURN_IF_ERROR(fields->status());
  if (background)
    return MakeError(ErrorCode::kUnsupported, "background responses are not supported");
  return {};
}

// The fields that a response repeats, with OpenAI's defaults.
Json EchoedFields(const Json& json) {
  Json echo = {{"instructions", nullptr},
               {"max_output_tokens", nullptr},
               {"frequency_penalty", 0.0},
               {"metadata", Json::object()},
               {"parallel_tool_calls", true},
               {"presence_penalty", 0.0},
               {"previous_response_id", nullptr},
               {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
               {"store", false},
               {"temperature", 1.0},
               {"text", {{"format", {{"type", "text"}}}}},
               {"tool_choice", "auto"},
               {"tools", Json::array()},
               {"top_logprobs", 0},
               {"top_p", 1.0},
               {"truncation", "disabled"},
               {"user", nullptr}};
  for (auto it = echo.begin(); it != echo.end(); ++it) {
    const auto said = json.find(it.key());
    if (it.key() != "store" && said != json.end() && !said->is_null()) it.value() = *said;
  }
  return echo;
}

Json EmptyPart() { return {{"type", "output_text"}, {"text", ""}, {"annotations", Json::array()}}; }

// "auto": a prompt that is too long loses its oldest part; "disabled": it is an error.
Status ReadTruncation(Fields* fields, GenerationRequest* request) {
  std::string truncation;
  fields->Read("truncation", &truncation);
  PUNA_RETURN_IF_ERROR(fields->status());
  if (truncation.empty()) return {};
  if (truncation != "auto" && truncation != "disabled") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "truncation is \"{}\", expected \"auto\" or \"disabled\"", truncation);
  }
  request->truncate = truncation == "auto";
  return {};
}

}  // namespace

Result<ResponsesRequest> ReadResponsesRequest(const Json& json) {
  ResponsesRequest out;
  GenerationRequest& request = out.generation;
  request.is_chat = true;
  Fields fields(json, kResponsesRequest);
  fields.Read("model", &request.model);
  fields.Read("stream", &request.stream);
  fields.Read("parallel_tool_calls", &request.parallel_tool_calls);
  fields.Read("top_logprobs", &request.top_logprobs);
  fields.Read("_debug_render_only", &request.render_only);
  PUNA_RETURN_IF_ERROR(fields.status());
  PUNA_RETURN_IF_ERROR(RefuseStoredState(json, &fields));
  if (request.top_logprobs < 0 || request.top_logprobs > 20)
    return MakeError(ErrorCode::kInvalidArgument, "top_logprobs must be between 0 and 20");
  std::vector<std::string> include;
  std::string instructions;
  fields.Read("include", &include);
  fields.Read("instructions", &instructions);
  PUNA_RETURN_IF_ERROR(fields.status());
  request.logprobs =
      std::find(include.begin(), include.end(), "message.output_text.logprobs") != include.end();
  PUNA_RETURN_IF_ERROR(ReadTruncation(&fields, &request));
  PUNA_ASSIGN_OR_RETURN(const Json* tools, fields.FindObjects("tools", kToolType));
  if (tools != nullptr) {
    for (const Json& tool : *tools) {
      PUNA_RETURN_IF_ERROR(
          ReadTool(tool, fields.OwnerOf("tools"), "", &out.tool_names, &request.tools));
    }
  }
  PUNA_RETURN_IF_ERROR(ReadInput(json, instructions, out.tool_names, &request.messages));
  Json choice = json.value("tool_choice", Json());
  RenameChosenTools(out.tool_names, &choice);
  PUNA_ASSIGN_OR_RETURN(request.tool_choice, ReadOpenAiToolChoice(choice, &request.tools));
  PUNA_ASSIGN_OR_RETURN(const std::string effort, ReadNestedEffort(&fields));
  PUNA_RETURN_IF_ERROR(ReadEffort(effort, &request.think));
  PUNA_ASSIGN_OR_RETURN(const Json* text, fields.FindObject("text", "responses.Text"));
  if (text != nullptr) {
    PUNA_RETURN_IF_ERROR(
        ReadOpenAiFormat("text.format", text->value("format", Json()), &request.constraint));
  }
  PUNA_RETURN_IF_ERROR(ReadOpenAiSampling(json, &fields, {"max_output_tokens"}, &request));
  out.echo = EchoedFields(json);
  return out;
}

ResponseBuilder::ResponseBuilder(const ResponsesRequest& request)
    : tool_names_(request.tool_names),
      response_({{"id", RandomId("resp_", 24)},
                 {"object", "response"},
                 {"created_at", UnixNow()},
                 {"completed_at", nullptr},
                 {"status", "in_progress"},
                 {"background", false},
                 {"error", nullptr},
                 {"incomplete_details", nullptr},
                 {"model", request.generation.model},
                 {"output", Json::array()},
                 {"usage", nullptr},
                 // What Ollama says of fields that it does not know either.
                 {"max_tool_calls", nullptr},
                 {"service_tier", "default"},
                 {"safety_identifier", nullptr},
                 {"prompt_cache_key", nullptr}}) {
  response_.update(request.echo);
}

void ResponseBuilder::Emit(std::string type, Json data) {
  Json event = {{"type", type}, {"sequence_number", sequence_number_++}};
  event.update(data);
  events_.emplace_back(std::move(type), std::move(event));
}

void ResponseBuilder::EmitInItem(std::string type, Json data) {
  Json event = {{"item_id", item_["id"]}, {"output_index", response_["output"].size()}};
  event.update(data);
  Emit(std::move(type), std::move(event));
}

AnswerEvents ResponseBuilder::Begin() {
  Emit("response.created", {{"response", response_}});
  Emit("response.in_progress", {{"response", response_}});
  return TakeEvents();
}

void ResponseBuilder::Open(Item kind) {
  open_ = kind;
  text_.clear();
  logprobs_ = Json::array();
  const bool message = kind == Item::kMessage;
  if (message) {
    item_ = {{"id", RandomId("msg_", 24)},
             {"type", "message"},
             {"status", "in_progress"},
             {"role", "assistant"},
             {"content", Json::array()}};
  } else {
    item_ = {{"id", RandomId("rs_", 24)}, {"type", "reasoning"}, {"summary", Json::array()}};
  }
  Emit("response.output_item.added",
       {{"output_index", response_["output"].size()}, {"item", item_}});
  if (message) {
    EmitInItem("response.content_part.added", {{"content_index", 0}, {"part", EmptyPart()}});
  } else {
    EmitInItem("response.reasoning_summary_part.added",
               {{"summary_index", 0}, {"part", {{"type", "summary_text"}, {"text", ""}}}});
  }
}

void ResponseBuilder::Close(const char* status) {
  if (open_ == Item::kNone) return;
  if (open_ == Item::kMessage) {
    Json part = EmptyPart();
    part["text"] = text_;
    part["logprobs"] = logprobs_;
    EmitInItem("response.output_text.done",
               {{"content_index", 0}, {"text", text_}, {"logprobs", logprobs_}});
    EmitInItem("response.content_part.done", {{"content_index", 0}, {"part", part}});
    item_["content"].push_back(std::move(part));
    item_["status"] = status;
  } else {
    Json part = {{"type", "summary_text"}, {"text", text_}};
    EmitInItem("response.reasoning_summary_text.done", {{"summary_index", 0}, {"text", text_}});
    EmitInItem("response.reasoning_summary_part.done", {{"summary_index", 0}, {"part", part}});
    item_["summary"].push_back(std::move(part));
    item_["encrypted_content"] = text_;
  }
  Emit("response.output_item.done",
       {{"output_index", response_["output"].size()}, {"item", item_}});
  response_["output"].push_back(std::move(item_));
  open_ = Item::kNone;
}

void ResponseBuilder::AddText(Item kind, const std::string& text,
                              const std::vector<LogprobEntry>& logprobs) {
  if (text.empty()) return;
  if (open_ != kind) {
    Close("completed");
    Open(kind);
  }
  text_ += text;
  if (kind == Item::kReasoning) {
    EmitInItem("response.reasoning_summary_text.delta", {{"summary_index", 0}, {"delta", text}});
    return;
  }
  Json entries = OpenAiLogprobs(logprobs);
  for (const Json& entry : entries) logprobs_.push_back(entry);
  EmitInItem("response.output_text.delta",
             {{"content_index", 0}, {"delta", text}, {"logprobs", std::move(entries)}});
}

void ResponseBuilder::AddToolCall(const chat::ToolCall& call) {
  Close("completed");
  const ClientToolName tool = tool_names_.ForClient(call.name);
  item_ = {{"id", RandomId("fc_", 24)}, {"type", "function_call"}, {"status", "in_progress"},
           {"call_id", call.id},        {"name", tool.name},       {"arguments", ""}};
  if (!tool.space.empty()) item_["namespace"] = tool.space;
  Emit("response.output_item.added",
       {{"output_index", response_["output"].size()}, {"item", item_}});
  const std::string arguments = DumpJson(call.arguments);
  EmitInItem("response.function_call_arguments.delta", {{"delta", arguments}});
  EmitInItem("response.function_call_arguments.done",
             {{"name", tool.name}, {"arguments", arguments}});
  item_["arguments"] = arguments;
  item_["status"] = "completed";
  Emit("response.output_item.done",
       {{"output_index", response_["output"].size()}, {"item", item_}});
  response_["output"].push_back(std::move(item_));
}

AnswerEvents ResponseBuilder::Add(const GenerationDelta& delta) {
  AddText(Item::kReasoning, delta.thinking, {});
  AddText(Item::kMessage, delta.content, delta.content_logprobs);
  for (const chat::ToolCall& call : delta.tool_calls) AddToolCall(call);
  return TakeEvents();
}

AnswerEvents ResponseBuilder::Finish(const engine::GenerationStats& stats) {
  const bool cut = stats.reason == engine::FinishReason::kLength;
  Close(cut ? "incomplete" : "completed");
  response_["status"] = cut ? "incomplete" : "completed";
  if (!cut) response_["completed_at"] = UnixNow();
  if (cut) response_["incomplete_details"] = {{"reason", "max_output_tokens"}};
  response_["usage"] = {{"input_tokens", stats.prompt_tokens},
                        {"input_tokens_details", {{"cached_tokens", stats.cached_prompt_tokens}}},
                        {"output_tokens", stats.generated_tokens},
                        {"output_tokens_details", {{"reasoning_tokens", 0}}},
                        {"total_tokens", stats.prompt_tokens + stats.generated_tokens}};
  Emit(cut ? "response.incomplete" : "response.completed", {{"response", response_}});
  return TakeEvents();
}

AnswerEvents ResponseBuilder::Fail(const Error& error) {
  Close("incomplete");
  response_["status"] = "failed";
  const bool too_long = error.code == ErrorCode::kContextExceeded;
  response_["error"] = {{"code", too_long ? kOpenAiContextExceeded : "server_error"},
                        {"message", error.message}};
  Emit("response.failed", {{"response", response_}});
  return TakeEvents();
}

}  // namespace puna::api
