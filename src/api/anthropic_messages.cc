#include "api/anthropic_messages.h"

#include <algorithm>

#include "api/errors.h"
#include "api/fields.h"
#include "api/media.h"
#include "api/ollama_types.h"
#include "api/openai_types.h"
#include "api/random_id.h"

namespace puna::api {
namespace {

constexpr std::string_view kMessagesRequest = "MessagesRequest";

// "messages" name the place of a block that is not what it should be.
Error WrongBlock(std::string_view what) {
  return {ErrorCode::kInvalidArgument, fmt::format("messages.content: {}", what)};
}

// The text of a block; it must be one.
Result<std::string> TextOf(const Json& block, const char* field) {
  const Json text = block.value(field, Json());
  if (!text.is_string()) {
    return tl::unexpected(WrongBlock(fmt::format(
        "\"{}\" of a block of type \"{}\" must be a string", field, JsonString(block, "type"))));
  }
  return text.get<std::string>();
}

void AppendText(const std::string& text, std::string* to) {
  if (!to->empty() && !text.empty()) *to += "\n";
  *to += text;
}

Result<std::string> ReadImage(const Json& block) {
  const Json source = block.value("source", Json::object());
  const std::string type = JsonString(source, "type");
  if (type != "base64") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "invalid image source type: {}. Only base64 images are supported", type);
  }
  return DecodeImageText(JsonString(source, "data"));
}

Status ReadDocument(const Json& block, std::string* text) {
  const Json source = block.value("source", Json::object());
  if (JsonString(source, "type") != "text")
    return MakeError(ErrorCode::kUnsupported, "documents are supported as plain text only");
  AppendText(JsonString(source, "data"), text);
  return {};
}

// What was found somewhere: its title and texts.
Status ReadSearchResult(const Json& block, std::string* text) {
  AppendText(JsonString(block, "title"), text);
  const Json content = block.value("content", Json());
  for (const Json& part : content) AppendText(JsonString(part, "text"), text);
  return {};
}

// "content" of a tool_result: a text or blocks of text and images.
Status ReadToolResult(const Json& block, const std::vector<chat::Message>& earlier,
                      chat::Message* message) {
  message->role = "tool";
  message->tool_call_id = JsonString(block, "tool_use_id");
  for (const chat::Message& turn : earlier) {
    for (const chat::ToolCall& call : turn.tool_calls) {
      if (call.id == message->tool_call_id) message->tool_name = call.name;
    }
  }
  const Json content = block.value("content", Json());
  if (content.is_string()) {
    message->content = content.get<std::string>();
    return {};
  }
  if (!content.is_array() && !content.is_null())
    return tl::unexpected(WrongBlock("content of a tool_result must be a string or a list"));
  for (const Json& part : content) {
    if (!part.is_object()) return tl::unexpected(WrongBlock("blocks must be objects"));
    const std::string type = JsonString(part, "type");
    if (type == "text") {
      PUNA_ASSIGN_OR_RETURN(const std::string text, TextOf(part, "text"));
      AppendText(text, &message->content);
    }
    if (type == "document") PUNA_RETURN_IF_ERROR(ReadDocument(part, &message->content));
    if (type == "search_result") PUNA_RETURN_IF_ERROR(ReadSearchResult(part, &message->content));
    if (type != "image") continue;
    PUNA_ASSIGN_OR_RETURN(std::string bytes, ReadImage(part));
    message->images.push_back(std::move(bytes));
  }
  return {};
}

Result<chat::ToolCall> ReadToolUse(const Json& block, size_t index) {
  chat::ToolCall call;
  call.index = static_cast<int>(index);
  call.id = JsonString(block, "id");
  call.name = JsonString(block, "name");
  if (call.id.empty()) return MakeError(ErrorCode::kInvalidArgument, "tool_use block missing id");
  if (call.name.empty())
    return MakeError(ErrorCode::kInvalidArgument, "tool_use block missing name");
  const Json input = block.value("input", Json());
  if (input.is_object()) call.arguments = input;
  return call;
}

// One turn. Results of tools become messages of their own, before the rest of the turn.
Status ReadTurn(const Json& turn, std::vector<chat::Message>* messages) {
  if (!turn.is_object()) return MakeError(ErrorCode::kInvalidArgument, "messages must be objects");
  chat::Message message;
  Fields fields(turn, "MessagesRequest.messages");
  fields.Read("role", &message.role);
  PUNA_RETURN_IF_ERROR(fields.status());
  const Json content = turn.value("content", Json());
  if (content.is_string()) {
    message.content = content.get<std::string>();
    messages->push_back(std::move(message));
    return {};
  }
  if (!content.is_array()) {
    return MakeError(ErrorCode::kInvalidArgument, "invalid message content type: {}",
                     content.type_name());
  }
  bool only_results = true;
  for (const Json& block : content) {
    if (!block.is_object()) return tl::unexpected(WrongBlock("blocks must be objects"));
    const std::string type = JsonString(block, "type");
    if (type == "tool_result") {
      chat::Message result;
      PUNA_RETURN_IF_ERROR(ReadToolResult(block, *messages, &result));
      messages->push_back(std::move(result));
      continue;
    }
    only_results = false;
    if (type == "text") {
      PUNA_ASSIGN_OR_RETURN(const std::string text, TextOf(block, "text"));
      AppendText(text, &message.content);
    } else if (type == "image") {
      PUNA_ASSIGN_OR_RETURN(std::string bytes, ReadImage(block));
      message.images.push_back(std::move(bytes));
    } else if (type == "document") {
      PUNA_RETURN_IF_ERROR(ReadDocument(block, &message.content));
    } else if (type == "search_result") {
      PUNA_RETURN_IF_ERROR(ReadSearchResult(block, &message.content));
    } else if (type == "thinking") {
      AppendText(JsonString(block, "thinking"), &message.thinking);
    } else if (type == "tool_use") {
      PUNA_ASSIGN_OR_RETURN(chat::ToolCall call, ReadToolUse(block, message.tool_calls.size()));
      message.tool_calls.push_back(std::move(call));
    }
  }
  if (!only_results || content.empty()) messages->push_back(std::move(message));
  return {};
}

Status ReadConversation(const Json& json, std::vector<chat::Message>* messages) {
  std::string system;
  const Json written = json.value("system", Json());
  if (written.is_string()) {
    system = written.get<std::string>();
  } else if (written.is_array() || written.is_null()) {
    for (const Json& block : written) {
      if (!block.is_object() || !block.value("text", Json()).is_string())
        return MakeError(ErrorCode::kInvalidArgument, "system: blocks must have a text");
      AppendText(JsonString(block, "text"), &system);
    }
  } else {
    return MakeError(ErrorCode::kInvalidArgument, "system must be a string or a list of blocks");
  }
  if (!system.empty()) {
    chat::Message& message = messages->emplace_back();
    message.role = "system";
    message.content = std::move(system);
  }
  const Json list = json.value("messages", Json());
  if (!list.is_array() || list.empty())
    return MakeError(ErrorCode::kInvalidArgument, "messages is required");
  for (const Json& turn : list) PUNA_RETURN_IF_ERROR(ReadTurn(turn, messages));
  return {};
}

Status ReadToolList(Fields* fields, std::vector<chat::Tool>* tools) {
  PUNA_ASSIGN_OR_RETURN(const Json* list, fields->FindObjects("tools", "anthropic.Tool"));
  if (list == nullptr) return {};
  for (const Json& tool : *list) {
    const std::string type = JsonString(tool, "type", "custom");
    // Searched by a service that puna does not use: the model is not told of it.
    if (type.starts_with("web_search")) continue;
    if (type != "custom")
      return MakeError(ErrorCode::kUnsupported, "tools of type \"{}\" are not supported", type);
    Json function = {{"name", JsonString(tool, "name")}};
    if (const std::string text = JsonString(tool, "description"); !text.empty())
      function["description"] = text;
    function["parameters"] = tool.value("input_schema", Json::object());
    tools->push_back({{{"type", "function"}, {"function", std::move(function)}}});
  }
  return {};
}

Status ReadToolChoice(const Json& choice, GenerationRequest* request) {
  using Kind = ToolChoice::Kind;
  if (choice.is_null()) return {};
  const std::string type = JsonString(choice, "type");
  if (type == "none") request->tool_choice.kind = Kind::kNone;
  if (type == "any") request->tool_choice.kind = Kind::kRequired;
  if (type == "tool") request->tool_choice = {Kind::kNamed, JsonString(choice, "name")};
  if (type != "none" && type != "any" && type != "tool" && type != "auto") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "tool_choice.type is \"{}\", expected auto, any, tool or none", type);
  }
  Fields fields(choice, "MessagesRequest.tool_choice");
  bool single = false;
  fields.Read("disable_parallel_tool_use", &single);
  request->parallel_tool_calls = !single;
  return fields.status();
}

// "thinking" turns it on or off, "output_config" says how much. A model that cannot think is not
// asked to.
Status ReadThinking(const Json& json, GenerationRequest* request) {
  request->think_if_able = true;
  const std::string type = JsonString(json.value("thinking", Json()), "type");
  if (!type.empty() && type != "enabled" && type != "disabled" && type != "adaptive") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "thinking.type is \"{}\", expected enabled or disabled", type);
  }
  const Json config = json.value("output_config", Json());
  if (type != "disabled") {
    const std::string effort = JsonString(config, "effort");
    PUNA_RETURN_IF_ERROR(ReadEffort(effort == "xhigh" ? "high" : effort, &request->think));
  }
  if (!type.empty()) {
    request->think.is_set = true;
    request->think.on = type != "disabled";
  }
  const Json format = config.is_object() ? config.value("format", Json()) : Json();
  return ReadOpenAiFormat("output_config.format", json.value("output_format", format),
                          &request->constraint);
}

Status ReadSampling(const Json& json, Fields* fields, MessagesRequest* out) {
  PUNA_RETURN_IF_ERROR(ReadNativeExtras(json, fields, &out->generation));
  Json& options = out->generation.options;
  std::optional<double> temperature, top_p;
  std::optional<int64_t> top_k;
  fields->Read("temperature", &temperature);
  fields->Read("top_p", &top_p);
  fields->Read("top_k", &top_k);
  fields->Read("stop_sequences", &out->stop_sequences);
  PUNA_RETURN_IF_ERROR(fields->status());
  if (temperature) options["temperature"] = *temperature;
  if (top_p) options["top_p"] = *top_p;
  if (top_k) options["top_k"] = *top_k;
  if (!out->stop_sequences.empty()) options["stop"] = out->stop_sequences;
  return {};
}

}  // namespace

Result<MessagesRequest> ReadMessagesRequest(const Json& json, bool counting) {
  MessagesRequest out;
  GenerationRequest& request = out.generation;
  request.is_chat = true;
  int64_t max_tokens = 0;
  Fields fields(json, kMessagesRequest);
  fields.Read("model", &request.model);
  fields.Read("stream", &request.stream);
  fields.Read("max_tokens", &max_tokens);
  fields.Read("_debug_render_only", &request.render_only);
  PUNA_RETURN_IF_ERROR(fields.status());
  if (request.model.empty()) return MakeError(ErrorCode::kInvalidArgument, "model is required");
  if (max_tokens <= 0 && !counting) {
    return MakeError(ErrorCode::kInvalidArgument, "max_tokens is required and must be positive");
  }
  PUNA_RETURN_IF_ERROR(ReadConversation(json, &request.messages));
  PUNA_RETURN_IF_ERROR(ReadToolList(&fields, &request.tools));
  PUNA_RETURN_IF_ERROR(ReadToolChoice(json.value("tool_choice", Json()), &request));
  PUNA_RETURN_IF_ERROR(ReadThinking(json, &request));
  PUNA_RETURN_IF_ERROR(ReadSampling(json, &fields, &out));
  if (max_tokens > 0) request.options["num_predict"] = max_tokens;
  return out;
}

MessageBuilder::MessageBuilder(const MessagesRequest& request, int64_t input_tokens)
    : stop_sequences_(request.stop_sequences),
      message_({{"id", RandomId("msg_", 24)},
                {"type", "message"},
                {"role", "assistant"},
                {"model", request.generation.model},
                {"content", Json::array()},
                {"stop_reason", nullptr},
                {"stop_sequence", nullptr},
                {"usage", {{"input_tokens", input_tokens}, {"output_tokens", 0}}}}) {}

void MessageBuilder::Emit(const char* type, Json data) {
  Json event = {{"type", type}};
  event.update(data);
  events_.emplace_back(type, std::move(event));
}

AnswerEvents MessageBuilder::Begin() {
  Emit("message_start", {{"message", message_}});
  Emit("ping", Json::object());
  return TakeEvents();
}

AnswerEvents MessageBuilder::Ping() {
  Emit("ping", Json::object());
  return TakeEvents();
}

AnswerEvents MessageBuilder::Fail(const Error& error) {
  events_.emplace_back("error", ErrorBody(Dialect::kAnthropic, error));
  return TakeEvents();
}

void MessageBuilder::Open(Json block) {
  Close();
  block_ = std::move(block);
  Emit("content_block_start", {{"index", message_["content"].size()}, {"content_block", block_}});
}

void MessageBuilder::Close() {
  if (block_.is_null()) return;
  const size_t index = message_["content"].size();
  // Clients expect thinking to be signed before they send it back; puna checks no signatures.
  if (block_["type"] == "thinking") {
    Emit("content_block_delta",
         {{"index", index}, {"delta", {{"type", "signature_delta"}, {"signature", ""}}}});
  }
  Emit("content_block_stop", {{"index", index}});
  message_["content"].push_back(std::move(block_));
  block_ = nullptr;
}

void MessageBuilder::AddText(const char* type, const std::string& text) {
  if (text.empty()) return;
  if (block_.is_null() || block_["type"] != type) {
    Json block = {{"type", type}, {type, ""}};
    if (block["type"] == "thinking") block["signature"] = "";
    Open(std::move(block));
  }
  block_[type].get_ref<std::string&>() += text;
  Json delta = {{"type", std::string(type) + "_delta"}, {type, text}};
  Emit("content_block_delta", {{"index", message_["content"].size()}, {"delta", std::move(delta)}});
}

void MessageBuilder::AddToolUse(const chat::ToolCall& call) {
  tool_used_ = true;
  Open({{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", Json::object()}});
  Json delta = {{"type", "input_json_delta"}, {"partial_json", DumpJson(call.arguments)}};
  Emit("content_block_delta", {{"index", message_["content"].size()}, {"delta", std::move(delta)}});
  block_["input"] = call.arguments;
  Close();
}

AnswerEvents MessageBuilder::Add(const GenerationDelta& delta) {
  AddText("thinking", delta.thinking);
  AddText("text", delta.content);
  for (const chat::ToolCall& call : delta.tool_calls) AddToolUse(call);
  return TakeEvents();
}

AnswerEvents MessageBuilder::Finish(const engine::GenerationStats& stats) {
  Close();
  const bool own_stop = std::find(stop_sequences_.begin(), stop_sequences_.end(),
                                  stats.stop_text) != stop_sequences_.end();
  Json& reason = message_["stop_reason"];
  reason = "end_turn";
  if (stats.reason == engine::FinishReason::kLength) {
    reason = "max_tokens";
  } else if (tool_used_) {
    reason = "tool_use";
  } else if (own_stop && !stats.stop_text.empty()) {
    reason = "stop_sequence";
    message_["stop_sequence"] = stats.stop_text;
  }
  message_["usage"] = {{"input_tokens", stats.prompt_tokens},
                       {"output_tokens", stats.generated_tokens}};
  Emit("message_delta",
       {{"delta",
         {{"stop_reason", message_["stop_reason"]}, {"stop_sequence", message_["stop_sequence"]}}},
        {"usage", message_["usage"]}});
  Emit("message_stop", Json::object());
  return TakeEvents();
}

}  // namespace puna::api
