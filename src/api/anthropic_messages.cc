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

constexpr std::string_view kBlock = "anthropic.ContentBlock";

// "messages" name the place of a block that is not what it should be.
Error WrongBlock(std::string_view what) {
  return {ErrorCode::kInvalidArgument, fmt::format("messages.content: {}", what)};
}

void AppendText(const std::string& text, std::string* to) {
  if (!to->empty() && !text.empty()) *to += "\n";
  *to += text;
}

struct BlockSource {
  std::string type, data;
};

Result<BlockSource> ReadSource(Fields* block) {
  BlockSource source;
  PUNA_ASSIGN_OR_RETURN(const Json* found, block->FindObject("source", "anthropic.Source"));
  if (found == nullptr) return source;
  Fields fields(*found, block->OwnerOf("source"));
  fields.Read("type", &source.type);
  fields.Read("data", &source.data);
  PUNA_RETURN_IF_ERROR(fields.status());
  return source;
}

Result<std::string> ReadImage(Fields* block) {
  PUNA_ASSIGN_OR_RETURN(const BlockSource source, ReadSource(block));
  if (source.type != "base64") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "invalid image source type: {}. Only base64 images are supported",
                     source.type);
  }
  return DecodeImageText(source.data);
}

Status ReadDocument(Fields* block, std::string* text) {
  PUNA_ASSIGN_OR_RETURN(const BlockSource source, ReadSource(block));
  if (source.type != "text")
    return MakeError(ErrorCode::kUnsupported, "documents are supported as plain text only");
  AppendText(source.data, text);
  return {};
}

// What was found somewhere: its title and texts.
Status ReadSearchResult(Fields* block, std::string* text) {
  std::string title;
  block->Read("title", &title);
  AppendText(title, text);
  PUNA_ASSIGN_OR_RETURN(const Json* content, block->FindObjects("content", kBlock));
  if (content == nullptr) return {};
  for (const Json& part : *content) {
    Fields fields(part, block->OwnerOf("content"));
    std::string found;
    fields.Read("text", &found);
    PUNA_RETURN_IF_ERROR(fields.status());
    AppendText(found, text);
  }
  return {};
}

// What stands in a turn as well as in the result of a tool; others leave the message as it is.
Status ReadPlainBlock(Fields* block, const std::string& type, chat::Message* message) {
  if (type == "text") {
    std::optional<std::string> text;
    block->Read("text", &text);
    PUNA_RETURN_IF_ERROR(block->status());
    if (!text) return tl::unexpected(WrongBlock("a block of type \"text\" has no text"));
    AppendText(*text, &message->content);
  }
  if (type == "document") return ReadDocument(block, &message->content);
  if (type == "search_result") return ReadSearchResult(block, &message->content);
  if (type != "image") return {};
  PUNA_ASSIGN_OR_RETURN(std::string bytes, ReadImage(block));
  message->images.push_back(std::move(bytes));
  return {};
}

Status ReadThinkingBlock(Fields* block, chat::Message* message) {
  std::string thinking;
  block->Read("thinking", &thinking);
  AppendText(thinking, &message->thinking);
  return block->status();
}

// "content" of a tool_result: a text or blocks.
Status ReadToolResult(Fields* block, chat::Message* message) {
  message->role = "tool";
  block->Read("tool_use_id", &message->tool_call_id);
  PUNA_RETURN_IF_ERROR(block->status());
  const Json* content = block->Find("content");
  if (content != nullptr && content->is_string()) {
    message->content = content->get<std::string>();
    return {};
  }
  PUNA_ASSIGN_OR_RETURN(content, block->FindObjects("content", kBlock));
  if (content == nullptr) return {};
  for (const Json& part : *content) {
    Fields fields(part, block->OwnerOf("content"));
    std::string type;
    fields.Read("type", &type);
    PUNA_RETURN_IF_ERROR(fields.status());
    PUNA_RETURN_IF_ERROR(ReadPlainBlock(&fields, type, message));
  }
  return {};
}

Status ReadToolUse(Fields* block, chat::Message* message) {
  chat::ToolCall call;
  call.index = static_cast<int>(message->tool_calls.size());
  block->Read("id", &call.id);
  block->Read("name", &call.name);
  PUNA_ASSIGN_OR_RETURN(const Json* input, block->FindObject("input", "map[string]interface {}"));
  if (call.id.empty()) return MakeError(ErrorCode::kInvalidArgument, "tool_use block missing id");
  if (call.name.empty())
    return MakeError(ErrorCode::kInvalidArgument, "tool_use block missing name");
  if (input != nullptr) call.arguments = *input;
  message->tool_calls.push_back(std::move(call));
  return {};
}

// One turn. Results of tools become messages of their own, before the rest of the turn.
Status ReadTurn(const Json& turn, const std::string& owner, std::vector<chat::Message>* messages) {
  chat::Message message;
  Fields fields(turn, owner);
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
  bool has_results = false;
  for (const Json& item : content) {
    if (!item.is_object()) return tl::unexpected(WrongBlock("blocks must be objects"));
    Fields block(item, fields.OwnerOf("content"));
    std::string type;
    block.Read("type", &type);
    PUNA_RETURN_IF_ERROR(block.status());
    if (type == "tool_result") {
      chat::Message result;
      PUNA_RETURN_IF_ERROR(ReadToolResult(&block, &result));
      messages->push_back(std::move(result));
      has_results = true;
    } else if (type == "thinking") {
      PUNA_RETURN_IF_ERROR(ReadThinkingBlock(&block, &message));
    } else if (type == "tool_use") {
      PUNA_RETURN_IF_ERROR(ReadToolUse(&block, &message));
    } else {
      PUNA_RETURN_IF_ERROR(ReadPlainBlock(&block, type, &message));
    }
  }
  const bool says_nothing = message.content.empty() && message.thinking.empty() &&
                            message.images.empty() && message.tool_calls.empty();
  if (!has_results || !says_nothing) messages->push_back(std::move(message));
  return {};
}

Status ReadConversation(const Json& json, Fields* fields, std::vector<chat::Message>* messages) {
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
  PUNA_ASSIGN_OR_RETURN(const Json* list, fields->FindObjects("messages", "anthropic.Message"));
  if (list == nullptr || list->empty())
    return MakeError(ErrorCode::kInvalidArgument, "messages is required");
  for (const Json& turn : *list)
    PUNA_RETURN_IF_ERROR(ReadTurn(turn, fields->OwnerOf("messages"), messages));
  NameResults(messages);
  return {};
}

Status ReadToolList(Fields* fields, std::vector<chat::Tool>* tools) {
  PUNA_ASSIGN_OR_RETURN(const Json* list, fields->FindObjects("tools", "anthropic.Tool"));
  if (list == nullptr) return {};
  for (const Json& item : *list) {
    std::string type = "custom", name, description;
    Fields tool(item, fields->OwnerOf("tools"));
    tool.Read("type", &type);
    PUNA_RETURN_IF_ERROR(tool.status());
    // Searched by a service that puna does not use: the model is not told of it.
    if (type.starts_with("web_search")) continue;
    if (type != "custom")
      return MakeError(ErrorCode::kUnsupported, "tools of type \"{}\" are not supported", type);
    tool.Read("name", &name);
    tool.Read("description", &description);
    PUNA_ASSIGN_OR_RETURN(const Json* schema, tool.FindObject("input_schema", "json.Schema"));
    Json function = {{"name", std::move(name)}};
    if (!description.empty()) function["description"] = std::move(description);
    function["parameters"] = schema != nullptr ? *schema : Json::object();
    tools->push_back({{{"type", "function"}, {"function", std::move(function)}}});
  }
  return {};
}

Status ReadToolChoice(Fields* fields, GenerationRequest* request) {
  using Kind = ToolChoice::Kind;
  PUNA_ASSIGN_OR_RETURN(const Json* found,
                        fields->FindObject("tool_choice", "anthropic.ToolChoice"));
  if (found == nullptr) return {};
  std::string type, name;
  bool single = false;
  Fields choice(*found, fields->OwnerOf("tool_choice"));
  choice.Read("type", &type);
  choice.Read("name", &name);
  choice.Read("disable_parallel_tool_use", &single);
  PUNA_RETURN_IF_ERROR(choice.status());
  if (type == "none") request->tool_choice.kind = Kind::kNone;
  if (type == "any") request->tool_choice.kind = Kind::kRequired;
  if (type == "tool") request->tool_choice = {Kind::kNamed, name};
  if (type != "none" && type != "any" && type != "tool" && type != "auto") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "tool_choice.type is \"{}\", expected auto, any, tool or none", type);
  }
  request->parallel_tool_calls = !single;
  return {};
}

// "thinking" turns it on or off, "output_config" says how much. A model that cannot think is not
// asked to.
Status ReadThinking(Fields* fields, GenerationRequest* request) {
  request->think_if_able = true;
  std::string type, effort;
  PUNA_ASSIGN_OR_RETURN(const Json* thinking, fields->FindObject("thinking", "anthropic.Thinking"));
  if (thinking != nullptr) {
    Fields inner(*thinking, fields->OwnerOf("thinking"));
    inner.Read("type", &type);
    PUNA_RETURN_IF_ERROR(inner.status());
  }
  if (!type.empty() && type != "enabled" && type != "disabled" && type != "adaptive") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "thinking.type is \"{}\", expected enabled or disabled", type);
  }
  const Json* format = fields->Find("output_format");
  PUNA_ASSIGN_OR_RETURN(const Json* config,
                        fields->FindObject("output_config", "anthropic.OutputConfig"));
  if (config != nullptr) {
    Fields inner(*config, fields->OwnerOf("output_config"));
    inner.Read("effort", &effort);
    PUNA_RETURN_IF_ERROR(inner.status());
    if (format == nullptr) format = inner.Find("format");
  }
  if (type != "disabled")
    PUNA_RETURN_IF_ERROR(ReadEffort(effort == "xhigh" ? "high" : effort, &request->think));
  if (!type.empty()) {
    request->think.is_set = true;
    request->think.on = type != "disabled";
  }
  if (format == nullptr) return {};
  return ReadOpenAiFormat("output_config.format", *format, &request->constraint);
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
  PUNA_RETURN_IF_ERROR(ReadConversation(json, &fields, &request.messages));
  PUNA_RETURN_IF_ERROR(ReadToolList(&fields, &request.tools));
  PUNA_RETURN_IF_ERROR(ReadToolChoice(&fields, &request));
  PUNA_RETURN_IF_ERROR(ReadThinking(&fields, &request));
  PUNA_RETURN_IF_ERROR(ReadSampling(json, &fields, &out));
  if (max_tokens > 0) request.options["num_predict"] = max_tokens;
  return out;
}

MessageBuilder::MessageBuilder(const MessagesRequest& request, int64_t input_tokens,
                               std::string request_id)
    : stop_sequences_(request.stop_sequences),
      request_id_(std::move(request_id)),
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
  events_.emplace_back("error", ErrorBody(Dialect::kAnthropic, error, request_id_));
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
