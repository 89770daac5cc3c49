#include "api/ollama_types.h"

#include "api/base64.h"
#include "api/constraint.h"
#include "api/embedding.h"
#include "base/duration.h"

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

Result<std::vector<chat::ToolCall>> ReadToolCalls(const Json& list) {
  std::vector<chat::ToolCall> calls;
  for (const Json& item : list) {
    chat::ToolCall call;
    call.id = JsonString(item, "id");
    call.index = static_cast<int>(calls.size());
    const Json function =
        item.is_object() && item.contains("function") ? item["function"] : Json::object();
    call.name = JsonString(function, "name");
    if (function.is_object() && function.contains("arguments"))
      call.arguments = function["arguments"];
    if (!call.arguments.is_object()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the arguments of the tool call \"{}\" must be an object", call.name);
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

Result<chat::Message> ReadMessage(const Json& json) {
  chat::Message message;
  Fields fields(json, "Message");
  fields.Read("role", &message.role);
  fields.Read("content", &message.content);
  fields.Read("thinking", &message.thinking);
  fields.Read("tool_name", &message.tool_name);
  fields.Read("tool_call_id", &message.tool_call_id);
  PUNA_RETURN_IF_ERROR(fields.status());
  for (char& c : message.role) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (const Json* images = fields.Find("images"); images != nullptr) {
    PUNA_ASSIGN_OR_RETURN(message.images, ReadImages(*images));
  }
  if (const Json* calls = fields.Find("tool_calls"); calls != nullptr && calls->is_array()) {
    PUNA_ASSIGN_OR_RETURN(message.tool_calls, ReadToolCalls(*calls));
  }
  return message;
}

}  // namespace

Status ReadCommonFields(const Json& json, Fields* fields, GenerationRequest* request) {
  fields->Read("model", &request->model);
  fields->Read("logprobs", &request->logprobs);
  fields->Read("top_logprobs", &request->top_logprobs);
  fields->Read("_debug_render_only", &request->render_only);
  fields->Read("truncate", &request->truncate);
  fields->Read("shift", &request->shift);
  PUNA_RETURN_IF_ERROR(fields->status());
  if (request->top_logprobs < 0 || request->top_logprobs > 20) {
    return MakeError(ErrorCode::kInvalidArgument, "top_logprobs must be between 0 and 20");
  }
  PUNA_RETURN_IF_ERROR(ReadThink(json, &request->think));
  PUNA_ASSIGN_OR_RETURN(request->keep_alive, ReadKeepAlive(json));
  if (const Json* options = fields->Find("options"); options != nullptr) {
    if (!options->is_object()) fields->Mismatch("options", *options, "map[string]interface {}");
    PUNA_RETURN_IF_ERROR(fields->status());
    request->options = *options;
  }
  if (const Json* format = fields->Find("format"); format != nullptr) {
    PUNA_ASSIGN_OR_RETURN(request->constraint, PartOfFormat(*format));
  }
  return {};
}

Status ReadMessages(Fields* fields, std::vector<chat::Message>* messages) {
  const Json* list = fields->Find("messages");
  if (list == nullptr) return {};
  if (!list->is_array()) {
    fields->Mismatch("messages", *list, "[]api.Message");
    return fields->status();
  }
  for (const Json& item : *list) {
    if (!item.is_object()) {
      fields->Mismatch("messages", item, "api.Message");
      return fields->status();
    }
    PUNA_ASSIGN_OR_RETURN(chat::Message message, ReadMessage(item));
    messages->push_back(std::move(message));
  }
  return {};
}

Status ReadTools(Fields* fields, std::vector<chat::Tool>* tools) {
  const Json* list = fields->Find("tools");
  if (list == nullptr) return {};
  if (!list->is_array()) {
    fields->Mismatch("tools", *list, "api.Tools");
    return fields->status();
  }
  for (const Json& item : *list) {
    if (!item.is_object()) {
      fields->Mismatch("tools", item, "api.Tool");
      return fields->status();
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
    PUNA_ASSIGN_OR_RETURN(std::string bytes, DecodeBase64(item.get_ref<const std::string&>()));
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
  const auto add = [&](const char* name, int64_t value) {
    if (value != 0) (*json)[name] = value;
  };
  add("total_duration", stats.total.count());
  add("load_duration", stats.load.count());
  add("prompt_eval_count", stats.prompt_tokens);
  add("prompt_truncated_count", stats.prompt_truncated);
  add("prompt_eval_duration", stats.prompt.count());
  add("eval_count", stats.generated_tokens);
  add("eval_duration", stats.generate.count());
  add("context_shifted_count", stats.shifted_tokens);
}

std::string CreatedAt() { return FormatRfc3339(std::chrono::system_clock::now()); }

}  // namespace puna::api
