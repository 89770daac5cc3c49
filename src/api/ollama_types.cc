#include "api/ollama_types.h"

#include "api/constraint.h"
#include "api/keep_alive.h"
#include "api/media.h"
#include "base/base64.h"
#include "base/duration.h"
#include "base/text.h"

namespace puna::api {
namespace {

constexpr std::string_view kThinkLevels[] = {"low", "medium", "high", "max"};

Status ReadThink(const Json& json, chat::Think* think) {
  const auto it = json.find("think");
  if (it == json.end() || it->is_null()) return {};
  if (it->is_boolean()) {
    think->is_set = true;
    think->on = it->get<bool>();
    return {};
  }
  if (!it->is_string()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "think must be a boolean or string (\"high\", \"medium\", \"low\", \"max\", "
                     "true, or false)");
  }
  for (const std::string_view level : kThinkLevels) {
    if (it->get_ref<const std::string&>() != level) continue;
    think->is_set = true;
    think->on = true;
    think->level = level;
    return {};
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   "invalid think value: \"{}\" (must be \"high\", \"medium\", \"low\", \"max\", "
                   "true, or false)",
                   it->get<std::string>());
}

Result<chat::ToolCall> ReadToolCall(const Json& json, std::string_view owner) {
  chat::ToolCall call;
  Fields fields(json, owner);
  fields.Read("id", &call.id);
  PUNA_ASSIGN_OR_RETURN(const Json* function,
                        fields.FindObject("function", "api.ToolCallFunction"));
  if (function == nullptr) return call;
  Fields inner(*function, fields.OwnerOf("function"));
  inner.Read("name", &call.name);
  if (const Json* arguments = inner.Find("arguments"); arguments != nullptr) {
    if (!arguments->is_object())
      inner.Mismatch("arguments", *arguments, "api.ToolCallFunctionArguments");
    call.arguments = *arguments;
  }
  PUNA_RETURN_IF_ERROR(inner.status());
  return call;
}

Result<chat::Message> ReadMessage(const Json& json, std::string_view owner) {
  chat::Message message;
  Fields fields(json, owner);
  fields.Read("role", &message.role);
  fields.Read("content", &message.content);
  fields.Read("thinking", &message.thinking);
  fields.Read("tool_name", &message.tool_name);
  fields.Read("tool_call_id", &message.tool_call_id);
  PUNA_RETURN_IF_ERROR(fields.status());
  message.role = LowerCase(message.role);
  if (const Json* images = fields.Find("images"); images != nullptr) {
    PUNA_ASSIGN_OR_RETURN(message.images, ReadImages(*images));
  }
  PUNA_ASSIGN_OR_RETURN(const Json* calls, fields.FindObjects("tool_calls", "api.ToolCall"));
  if (calls == nullptr) return message;
  for (const Json& item : *calls) {
    PUNA_ASSIGN_OR_RETURN(chat::ToolCall call, ReadToolCall(item, fields.OwnerOf("tool_calls")));
    call.index = static_cast<int>(message.tool_calls.size());
    message.tool_calls.push_back(std::move(call));
  }
  return message;
}

}  // namespace

Status ReadCommonFields(const Json& json, Fields* fields, GenerationRequest* request) {
  fields->Read("model", &request->model);
  fields->Read("logprobs", &request->logprobs);
  fields->Read("top_logprobs", &request->top_logprobs);
  fields->Read("truncate", &request->truncate);
  fields->Read("shift", &request->shift);
  fields->Read("_debug_render_only", &request->render_only);
  PUNA_RETURN_IF_ERROR(fields->status());
  if (request->top_logprobs < 0 || request->top_logprobs > 20) {
    return MakeError(ErrorCode::kInvalidArgument, "top_logprobs must be between 0 and 20");
  }
  PUNA_RETURN_IF_ERROR(ReadThink(json, &request->think));
  PUNA_RETURN_IF_ERROR(ReadNativeExtras(json, fields, request));
  if (const Json* format = fields->Find("format"); format != nullptr) {
    PUNA_ASSIGN_OR_RETURN(request->constraint, PartOfFormat(*format));
  }
  return {};
}

Status ReadNativeExtras(const Json& json, Fields* fields, GenerationRequest* request) {
  PUNA_ASSIGN_OR_RETURN(request->keep_alive, ReadKeepAlive(json));
  PUNA_ASSIGN_OR_RETURN(const Json* options,
                        fields->FindObject("options", "map[string]interface {}"));
  if (options != nullptr) request->options = *options;
  return {};
}

Status ReadMessages(Fields* fields, std::vector<chat::Message>* messages) {
  PUNA_ASSIGN_OR_RETURN(const Json* list, fields->FindObjects("messages", "api.Message"));
  if (list == nullptr) return {};
  for (const Json& item : *list) {
    PUNA_ASSIGN_OR_RETURN(chat::Message message, ReadMessage(item, fields->OwnerOf("messages")));
    messages->push_back(std::move(message));
  }
  return {};
}

Json MessageJson(const chat::Message& message) {
  Json json = {{"role", message.role}, {"content", message.content}};
  if (!message.thinking.empty()) json["thinking"] = message.thinking;
  for (const std::string& image : message.images) json["images"].push_back(EncodeBase64(image));
  if (!message.tool_calls.empty()) json["tool_calls"] = ToolCallsJson(message.tool_calls);
  if (!message.tool_name.empty()) json["tool_name"] = message.tool_name;
  if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
  return json;
}

Status ReadTools(Fields* fields, std::vector<chat::Tool>* tools) {
  PUNA_ASSIGN_OR_RETURN(const Json* list, fields->FindObjects("tools", "api.Tool"));
  if (list == nullptr) return {};
  for (const Json& item : *list) {
    Fields tool(item, fields->OwnerOf("tools"));
    std::string text;
    tool.Read("type", &text);
    PUNA_ASSIGN_OR_RETURN(const Json* function, tool.FindObject("function", "api.ToolFunction"));
    if (function != nullptr) {
      Fields inner(*function, tool.OwnerOf("function"));
      inner.Read("name", &text);
      inner.Read("description", &text);
      PUNA_ASSIGN_OR_RETURN(const Json* parameters,
                            inner.FindObject("parameters", "api.ToolFunctionParameters"));
      static_cast<void>(parameters);
      PUNA_RETURN_IF_ERROR(inner.status());
    }
    tools->push_back({item});
  }
  return {};
}

Result<std::vector<std::string>> ReadImages(const Json& list) {
  std::vector<std::string> images;
  if (!list.is_array())
    return MakeError(ErrorCode::kInvalidArgument, "\"images\" must be a list of base64 strings");
  for (const Json& item : list) {
    if (!item.is_string())
      return MakeError(ErrorCode::kInvalidArgument, "\"images\" must be a list of base64 strings");
    PUNA_ASSIGN_OR_RETURN(std::string bytes, DecodeImageText(item.get_ref<const std::string&>()));
    images.push_back(std::move(bytes));
  }
  return images;
}

Json ToolCallsJson(const std::vector<chat::ToolCall>& calls) {
  Json list = Json::array();
  for (const chat::ToolCall& call : calls) {
    Json function = {{"index", call.index}, {"name", call.name}, {"arguments", call.arguments}};
    list.push_back({{"id", call.id}, {"function", std::move(function)}});
  }
  return list;
}

Json LogprobsJson(const std::vector<LogprobEntry>& entries) {
  const auto one = [](const std::string& token, double logprob) {
    Json bytes = Json::array();
    for (const char c : token) bytes.push_back(static_cast<uint8_t>(c));
    return Json{{"token", token}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
  };
  Json list = Json::array();
  for (const LogprobEntry& entry : entries) {
    Json json = one(entry.token, entry.logprob);
    if (!entry.top.empty()) {
      json["top_logprobs"] = Json::array();
      for (const auto& [token, logprob] : entry.top)
        json["top_logprobs"].push_back(one(token, logprob));
    }
    list.push_back(std::move(json));
  }
  return list;
}

void AddStats(const engine::GenerationStats& stats, Json* json) {
  (*json)["done_reason"] = stats.reason == engine::FinishReason::kLength ? "length" : "stop";
  // Zeros are left out, as Ollama does; but Ollama's durations are never zero, so clients read them
  // without looking.
  const auto add = [&](const char* name, int64_t value) {
    if (value != 0) (*json)[name] = value;
  };
  (*json)["total_duration"] = stats.total.count();
  (*json)["load_duration"] = stats.load.count();
  add("prompt_eval_count", stats.prompt_tokens);
  add("prompt_truncated_count", stats.prompt_truncated);
  (*json)["prompt_eval_duration"] = stats.prompt.count();
  add("eval_count", stats.generated_tokens);
  (*json)["eval_duration"] = stats.generate.count();
  add("context_shifted_count", stats.shifted_tokens);
}

std::string CreatedAt() { return FormatRfc3339(std::chrono::system_clock::now()); }

}  // namespace puna::api
