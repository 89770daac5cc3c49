#include "api/openai_types.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>

#include "api/media.h"
#include "api/ollama_types.h"
#include "base/json.h"

namespace puna::api {
namespace {

constexpr int64_t kMaxChoices = 128;

// A picture: a URL, or {"url": ...} as chat completions have it.
Result<std::string> ReadImageUrl(const Json& image) {
  return DecodeImageUrl(image.is_string() ? image.get<std::string>() : JsonString(image, "url"));
}

Status ReadPart(const Json& part, chat::Message* message) {
  const std::string type = JsonString(part, "type");
  if (type == "text" || type == "input_text" || type == "output_text" || type == "refusal") {
    const char* field = type == "refusal" ? "refusal" : "text";
    const Json text = part.value(field, Json());
    if (!text.is_string()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "invalid message format: \"{}\" of a content part of type \"{}\" must be a "
                       "string",
                       field, type);
    }
    if (!message->content.empty()) message->content += "\n";
    message->content += text.get<std::string>();
    return {};
  }
  if (type == "image_url" || type == "input_image") {
    PUNA_ASSIGN_OR_RETURN(std::string bytes, ReadImageUrl(part.value("image_url", Json())));
    message->images.push_back(std::move(bytes));
    return {};
  }
  if (type == "input_audio")
    return MakeError(ErrorCode::kUnsupported, "audio inputs are not currently supported");
  if (type == "input_file" || type == "file")
    return MakeError(ErrorCode::kUnsupported, "file inputs are not currently supported");
  return MakeError(ErrorCode::kInvalidArgument,
                   "invalid message format: content part of type \"{}\"", type);
}

Result<ToolChoice> NamedChoice(const Json& function) {
  ToolChoice choice{ToolChoice::Kind::kNamed, JsonString(function, "name")};
  if (choice.name.empty())
    return MakeError(ErrorCode::kInvalidArgument, "tool_choice names no function");
  return choice;
}

// Keeps the tools that {"mode", "tools"} lists.
Result<ToolChoice> AllowedTools(const Json& allowed, std::vector<chat::Tool>* tools) {
  const Json listed = allowed.is_object() ? allowed.value("tools", Json()) : Json();
  if (!listed.is_array())
    return MakeError(ErrorCode::kInvalidArgument, "tool_choice.allowed_tools.tools must be a list");
  const auto is_allowed = [&](const chat::Tool& tool) {
    return std::any_of(listed.begin(), listed.end(), [&](const Json& entry) {
      const std::string name = JsonString(entry, "name");
      return tool.name() == (name.empty() && entry.is_object()
                                 ? JsonString(entry.value("function", Json()), "name")
                                 : name);
    });
  };
  std::erase_if(*tools, [&](const chat::Tool& tool) { return !is_allowed(tool); });
  const bool required = JsonString(allowed, "mode") == "required";
  return ToolChoice{required ? ToolChoice::Kind::kRequired : ToolChoice::Kind::kAuto, ""};
}

}  // namespace

Status ReadOpenAiSampling(const Json& json, Fields* fields,
                          const std::vector<std::string_view>& limit_fields,
                          GenerationRequest* request) {
  Json& options = request->options;
  PUNA_RETURN_IF_ERROR(ReadNativeExtras(json, fields, request));
  double temperature = 1, top_p = 1;
  std::optional<double> frequency_penalty, presence_penalty;
  std::optional<int64_t> seed;
  std::vector<std::string> stop;
  fields->Read("temperature", &temperature);
  fields->Read("top_p", &top_p);
  fields->Read("frequency_penalty", &frequency_penalty);
  fields->Read("presence_penalty", &presence_penalty);
  fields->Read("seed", &seed);
  fields->ReadStrings("stop", &stop);
  for (const std::string_view name : limit_fields) {
    std::optional<int64_t> limit;
    fields->Read(name, &limit);
    if (!limit) continue;
    options["num_predict"] = *limit;
    break;
  }
  PUNA_RETURN_IF_ERROR(fields->status());
  // What the client did not say itself in "options".
  if (fields->Find("temperature") != nullptr || !options.contains("temperature"))
    options["temperature"] = temperature;
  if (fields->Find("top_p") != nullptr || !options.contains("top_p")) options["top_p"] = top_p;
  if (frequency_penalty) options["frequency_penalty"] = *frequency_penalty;
  if (presence_penalty) options["presence_penalty"] = *presence_penalty;
  if (seed) options["seed"] = *seed;
  if (!stop.empty()) options["stop"] = stop;
  if (const Json* bias = fields->Find("logit_bias"); bias != nullptr) {
    if (!bias->is_object()) fields->Mismatch("logit_bias", *bias, "map[string]float32");
    options["logit_bias"] = *bias;
  }
  return fields->status();
}

Status ReadStreamFields(Fields* fields, std::string_view owner, bool* stream, bool* include_usage) {
  fields->Read("stream", stream);
  PUNA_RETURN_IF_ERROR(fields->status());
  PUNA_ASSIGN_OR_RETURN(const Json* options,
                        fields->FindObject("stream_options", "openai.StreamOptions"));
  if (options == nullptr) return {};
  Fields nested(*options, fmt::format("{}.stream_options", owner));
  nested.Read("include_usage", include_usage);
  return nested.status();
}

Status RefuseFields(const Json& json, std::initializer_list<RefusedField> fields) {
  for (const auto& [name, reason] : fields) {
    const auto found = json.find(name);
    if (found != json.end() && !found->is_null())
      return MakeError(ErrorCode::kUnsupported, "{} is not supported: {}", name, reason);
  }
  return {};
}

Status ReadOpenAiContent(const Json& content, chat::Message* message) {
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
    if (!part.is_object())
      return MakeError(ErrorCode::kInvalidArgument, "invalid message format: content part is {}",
                       part.type_name());
    PUNA_RETURN_IF_ERROR(ReadPart(part, message));
  }
  return {};
}

Result<Json> ParseToolArguments(const std::string& arguments) {
  Json parsed = ParseJson(arguments.empty() ? "{}" : arguments);
  if (!parsed.is_object())
    return MakeError(ErrorCode::kInvalidArgument, "invalid tool call arguments");
  return parsed;
}

void NameResults(std::vector<chat::Message>* messages) {
  std::map<std::string_view, std::string_view> names;  // of calls, by their ids
  for (chat::Message& message : *messages) {
    if (message.role == "tool" && message.tool_name.empty()) {
      const auto name = names.find(message.tool_call_id);
      if (name != names.end()) message.tool_name = name->second;
    }
    for (const chat::ToolCall& call : message.tool_calls) names[call.id] = call.name;
  }
}

std::string ReadOpenAiRole(const Json& message) {
  std::string role = JsonString(message, "role");
  return role == "developer" ? "system" : role;
}

Result<ToolChoice> ReadOpenAiToolChoice(const Json& choice, std::vector<chat::Tool>* tools) {
  using Kind = ToolChoice::Kind;
  if (choice.is_null()) return ToolChoice();
  if (choice == "auto") return ToolChoice{Kind::kAuto, ""};
  if (choice == "none") return ToolChoice{Kind::kNone, ""};
  if (choice == "required") return ToolChoice{Kind::kRequired, ""};
  const std::string type = JsonString(choice, "type");
  if (type == "function") {
    // Chat completions nest the name, the Responses API does not.
    return NamedChoice(choice.contains("function") ? choice["function"] : choice);
  }
  if (type == "allowed_tools")
    return AllowedTools(choice.contains("allowed_tools") ? choice["allowed_tools"] : choice, tools);
  return MakeError(ErrorCode::kInvalidArgument,
                   "tool_choice is {}, expected \"none\", \"auto\", \"required\" or a function",
                   DumpJson(choice));
}

Status ReadEffort(const std::string& effort, chat::Think* think) {
  if (effort.empty()) return {};
  think->is_set = true;
  think->on = effort != "none";
  if (effort == "none") return {};
  think->level = effort;
  if (effort == "minimal") think->level = "low";
  if (effort == "xhigh" || effort == "ultra") think->level = "max";
  for (const char* known : {"low", "medium", "high", "max"}) {
    if (think->level == known) return {};
  }
  return MakeError(ErrorCode::kInvalidArgument, "invalid reasoning value: '{}'", effort);
}

Result<std::string> ReadNestedEffort(Fields* fields) {
  std::string effort;
  PUNA_ASSIGN_OR_RETURN(const Json* reasoning, fields->FindObject("reasoning", "openai.Reasoning"));
  if (reasoning == nullptr) return effort;
  Fields inner(*reasoning, fields->OwnerOf("reasoning"));
  inner.Read("effort", &effort);
  PUNA_RETURN_IF_ERROR(inner.status());
  return effort;
}

Status ReadOpenAiFormat(std::string_view field, const Json& format,
                        std::optional<grammar::Part>* constraint) {
  if (format.is_null()) return {};
  if (!format.is_object())
    return MakeError(ErrorCode::kInvalidArgument, "{} must be an object", field);
  const std::string type = JsonString(format, "type");
  if (type == "text") return {};
  if (type == "json_object") {
    *constraint = grammar::Part::JsonObject();
    return {};
  }
  if (type != "json_schema") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "{}.type is \"{}\", expected \"text\", \"json_object\" or \"json_schema\"",
                     field, type);
  }
  const bool nested = field == "response_format";
  const Json holder = nested ? format.value("json_schema", Json()) : format;
  const bool has_schema = holder.is_object() && holder.contains("schema") &&
                          (holder["schema"].is_object() || holder["schema"].is_boolean());
  if (!has_schema) {
    return MakeError(ErrorCode::kInvalidArgument, "{}{}.schema must be a JSON schema", field,
                     nested ? ".json_schema" : "");
  }
  *constraint = grammar::Part::Schema(holder["schema"]);
  return {};
}

Status ReadChoices(Fields* fields, int64_t* choices) {
  fields->Read("n", choices);
  PUNA_RETURN_IF_ERROR(fields->status());
  if (*choices < 1 || *choices > kMaxChoices) {
    return MakeError(ErrorCode::kInvalidArgument, "n is {}, expected 1 to {}", *choices,
                     kMaxChoices);
  }
  return {};
}

AnswerHead MakeAnswerHead(std::string_view id_prefix, std::string object, std::string model) {
  static std::atomic<uint64_t> number{static_cast<uint64_t>(UnixNow())};
  return {fmt::format("{}{}", id_prefix, ++number), std::move(object), std::move(model), UnixNow()};
}

Json AnswerHead::Envelope(Json choices) const {
  return {{"id", id},
          {"object", object},
          {"created", created},
          {"model", model},
          {"system_fingerprint", "fp_ollama"},
          {"choices", std::move(choices)}};
}

std::string OpenAiFinishReason(engine::FinishReason reason, bool tool_calls) {
  if (reason == engine::FinishReason::kLength) return "length";
  return tool_calls ? "tool_calls" : "stop";
}

Json OpenAiUsage(const UsageCounts& counts) {
  return {{"prompt_tokens", counts.prompt_tokens},
          {"completion_tokens", counts.completion_tokens},
          {"total_tokens", counts.prompt_tokens + counts.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", counts.cached_tokens}}}};
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
  Json list = LogprobsJson(entries);
  for (Json& entry : list) {
    if (!entry.contains("top_logprobs")) entry["top_logprobs"] = Json::array();
  }
  return list;
}

int64_t UnixNow() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace puna::api
