#include "api/openai_types.h"

#include "api/base64.h"
#include "api/fields.h"
#include "api/ollama_types.h"

namespace puna::api {
namespace {

// A picture in a message: {"url": "data:image/png;base64,..."} or the URL itself.
Result<std::string> ReadImagePart(const Json& part) {
  const Json image = part.value("image_url", Json());
  const std::string url = image.is_string() ? image.get<std::string>() : JsonString(image, "url");
  if (url.starts_with("http://") || url.starts_with("https://")) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "image URLs are not currently supported, please use base64 encoded data instead");
  }
  const size_t comma = url.find(";base64,");
  if (!url.starts_with("data:") || comma == std::string::npos) {
    return MakeError(ErrorCode::kInvalidArgument, "invalid image input");
  }
  return DecodeBase64(std::string_view(url).substr(comma + 8));
}

Status ReadContent(const Json& content, chat::Message* message) {
  if (content.is_null()) return {};
  if (content.is_string()) {
    message->content = content.get<std::string>();
    return {};
  }
  if (!content.is_array()) {
    return MakeError(ErrorCode::kInvalidArgument, "invalid message content type: {}",
                     content.type_name());
  }
  for (const Json& part : content) {
    const std::string type = JsonString(part, "type");
    if (type == "text") {
      if (!message->content.empty()) message->content += "\n";
      message->content += JsonString(part, "text");
    } else if (type == "image_url") {
      PUNA_ASSIGN_OR_RETURN(std::string bytes, ReadImagePart(part));
      message->images.push_back(std::move(bytes));
    } else {
      return MakeError(ErrorCode::kInvalidArgument,
                       "invalid message format: content part of type \"{}\"", type);
    }
  }
  return {};
}

Status ReadToolCalls(const Json& calls, chat::Message* message) {
  if (calls.is_null()) return {};
  if (!calls.is_array())
    return MakeError(ErrorCode::kInvalidArgument, "\"tool_calls\" must be a list");
  for (const Json& item : calls) {
    const Json function =
        item.is_object() ? item.value("function", Json::object()) : Json::object();
    chat::ToolCall call;
    call.id = JsonString(item, "id");
    call.index = static_cast<int>(message->tool_calls.size());
    call.name = JsonString(function, "name");
    const std::string arguments = JsonString(function, "arguments", "{}");
    call.arguments = Json::parse(arguments, nullptr, /*allow_exceptions=*/false);
    if (!call.arguments.is_object())
      return MakeError(ErrorCode::kInvalidArgument, "invalid tool call arguments");
    message->tool_calls.push_back(std::move(call));
  }
  return {};
}

// The name of the tool that a "tool" message answers: its own field, or that of the call with its
// id.
std::string ToolNameOf(const Json& json, const std::vector<chat::Message>& earlier) {
  if (std::string name = JsonString(json, "name"); !name.empty()) return name;
  const std::string id = JsonString(json, "tool_call_id");
  for (const chat::Message& message : earlier) {
    for (const chat::ToolCall& call : message.tool_calls) {
      if (call.id == id) return call.name;
    }
  }
  return "";
}

Status ReadMessageList(const Json& json, std::vector<chat::Message>* messages) {
  const Json list = json.value("messages", Json());
  if (!list.is_array() || list.empty())
    return MakeError(ErrorCode::kInvalidArgument, "[] is too short - 'messages'");
  for (const Json& item : list) {
    if (!item.is_object()) return MakeError(ErrorCode::kInvalidArgument, "invalid message format");
    chat::Message message;
    message.role = JsonString(item, "role");
    message.thinking = JsonString(item, "reasoning");
    message.tool_call_id = JsonString(item, "tool_call_id");
    if (message.role == "tool") message.tool_name = ToolNameOf(item, *messages);
    PUNA_RETURN_IF_ERROR(ReadContent(item.value("content", Json()), &message));
    PUNA_RETURN_IF_ERROR(ReadToolCalls(item.value("tool_calls", Json()), &message));
    messages->push_back(std::move(message));
  }
  return {};
}

Status ReadReasoning(const Json& json, chat::Think* think) {
  std::string effort = JsonString(json, "reasoning_effort");
  if (effort.empty()) effort = JsonString(json.value("reasoning", Json()), "effort");
  if (effort.empty()) return {};
  think->is_set = true;
  think->on = effort != "none";
  if (effort == "none") return {};
  if (effort == "minimal") effort = "low";
  if (effort == "xhigh" || effort == "ultra") effort = "max";
  if (effort != "low" && effort != "medium" && effort != "high" && effort != "max") {
    return MakeError(ErrorCode::kInvalidArgument, "invalid reasoning value: '{}'", effort);
  }
  think->level = effort;
  return {};
}

Status ReadResponseFormat(const Json& json, std::optional<grammar::Part>* constraint) {
  const Json format = json.value("response_format", Json());
  if (format.is_null()) return {};
  const std::string type = JsonString(format, "type");
  if (type == "text") return {};
  if (type == "json_object") {
    *constraint = grammar::Part::JsonObject();
    return {};
  }
  if (type != "json_schema") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "response_format.type is \"{}\", expected \"text\", \"json_object\" or "
                     "\"json_schema\"",
                     type);
  }
  const Json described = format.value("json_schema", Json());
  const auto schema = described.is_object() ? described.find("schema") : described.end();
  if (!described.is_object() || schema == described.end() ||
      !(schema->is_object() || schema->is_boolean())) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "response_format.json_schema.schema must be a JSON schema");
  }
  *constraint = grammar::Part::Schema(*schema);
  return {};
}

// The sampling fields under their names in Ollama's options. OpenAI's defaults are temperature 1
// and top_p 1.
Status ReadSampling(const Json& json, Json* options) {
  static constexpr std::pair<const char*, const char*> kSame[] = {
      {"temperature", "temperature"},
      {"top_p", "top_p"},
      {"frequency_penalty", "frequency_penalty"},
      {"presence_penalty", "presence_penalty"},
      {"seed", "seed"},
      {"stop", "stop"},
      {"max_tokens", "num_predict"},
      {"max_completion_tokens", "num_predict"}};
  (*options)["temperature"] = 1.0;
  (*options)["top_p"] = 1.0;
  for (const auto& [name, option] : kSame) {
    if (const auto it = json.find(name); it != json.end() && !it->is_null())
      (*options)[option] = *it;
  }
  return {};
}

}  // namespace

Result<ChatCompletionsRequest> ReadChatCompletionsRequest(const Json& json) {
  ChatCompletionsRequest out;
  GenerationRequest& request = out.generation;
  request.is_chat = true;
  Fields fields(json, "ChatCompletionRequest");
  fields.Read("model", &request.model);
  fields.Read("stream", &out.stream);
  fields.Read("logprobs", &request.logprobs);
  fields.Read("top_logprobs", &request.top_logprobs);
  int64_t choices = 1;
  fields.Read("n", &choices);
  if (const Json* options = fields.Find("stream_options");
      options != nullptr && options->is_object()) {
    Fields stream_options(*options, "StreamOptions");
    stream_options.Read("include_usage", &out.include_usage);
    PUNA_RETURN_IF_ERROR(stream_options.status());
  }
  PUNA_RETURN_IF_ERROR(fields.status());
  if (choices != 1) {
    return MakeError(ErrorCode::kUnsupported, "n is {}, this version of puna gives one choice",
                     choices);
  }
  if (request.top_logprobs < 0 || request.top_logprobs > 20) {
    return MakeError(ErrorCode::kInvalidArgument, "top_logprobs must be between 0 and 20");
  }
  PUNA_RETURN_IF_ERROR(ReadMessageList(json, &request.messages));
  PUNA_RETURN_IF_ERROR(ReadTools(&fields, &request.tools));
  PUNA_RETURN_IF_ERROR(ReadReasoning(json, &request.think));
  PUNA_RETURN_IF_ERROR(ReadResponseFormat(json, &request.constraint));
  PUNA_RETURN_IF_ERROR(ReadSampling(json, &request.options));
  return out;
}

std::string FinishReasonOf(const Generation& generation) {
  if (generation.stats().reason == engine::FinishReason::kLength) return "length";
  return generation.any_tool_calls() ? "tool_calls" : "stop";
}

Json UsageJson(const engine::GenerationStats& stats) {
  return {{"prompt_tokens", stats.prompt_tokens},
          {"completion_tokens", stats.generated_tokens},
          {"total_tokens", stats.prompt_tokens + stats.generated_tokens}};
}

Json OpenAiToolCalls(const std::vector<chat::ToolCall>& calls) {
  Json list = Json::array();
  for (const chat::ToolCall& call : calls) {
    Json function = {{"name", call.name}, {"arguments", DumpJson(call.arguments)}};
    list.push_back({{"id", call.id},
                    {"index", call.index},
                    {"type", "function"},
                    {"function", std::move(function)}});
  }
  return list;
}

Json OpenAiLogprobs(const std::vector<LogprobEntry>& entries) {
  Json out = Json::object();
  out["content"] = LogprobsJson(entries);
  return out;
}

}  // namespace puna::api
