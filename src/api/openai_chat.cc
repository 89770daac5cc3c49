// POST /v1/chat/completions
#include "api/generation.h"
#include "api/ollama_types.h"
#include "api/openai_stream.h"
#include "api/openai_types.h"
#include "api/routes.h"

namespace puna::api {
namespace {

constexpr std::string_view kChatCompletionRequest = "ChatCompletionRequest";

Result<chat::ToolCall> ReadOpenAiToolCall(const Json& json, std::string_view owner) {
  chat::ToolCall call;
  std::string arguments;
  Fields fields(json, owner);
  fields.Read("id", &call.id);
  PUNA_ASSIGN_OR_RETURN(const Json* function, fields.FindObject("function", "openai.ToolCall"));
  if (function != nullptr) {
    Fields inner(*function, fields.OwnerOf("function"));
    inner.Read("name", &call.name);
    inner.Read("arguments", &arguments);
    PUNA_RETURN_IF_ERROR(inner.status());
  }
  PUNA_ASSIGN_OR_RETURN(call.arguments, ParseToolArguments(arguments));
  return call;
}

Result<chat::Message> ReadOpenAiMessage(const Json& json, std::string_view owner) {
  chat::Message message;
  std::string name;
  Fields fields(json, owner);
  fields.Read("role", &message.role);
  fields.Read("reasoning_content", &message.thinking);
  fields.Read("reasoning", &message.thinking);
  fields.Read("tool_call_id", &message.tool_call_id);
  fields.Read("name", &name);
  PUNA_RETURN_IF_ERROR(fields.status());
  if (message.role == "developer") message.role = "system";
  if (message.role == "tool") message.tool_name = name;
  PUNA_RETURN_IF_ERROR(RefuseFields(json, {{"function_call", "use tool_calls"}}));
  PUNA_RETURN_IF_ERROR(ReadOpenAiContent(json.value("content", Json()), &message));
  PUNA_ASSIGN_OR_RETURN(const Json* calls, fields.FindObjects("tool_calls", "openai.ToolCall"));
  if (calls == nullptr) return message;
  for (const Json& item : *calls) {
    PUNA_ASSIGN_OR_RETURN(chat::ToolCall call,
                          ReadOpenAiToolCall(item, fields.OwnerOf("tool_calls")));
    call.index = static_cast<int>(message.tool_calls.size());
    message.tool_calls.push_back(std::move(call));
  }
  return message;
}

Status ReadMessageList(Fields* fields, std::vector<chat::Message>* messages) {
  PUNA_ASSIGN_OR_RETURN(const Json* list, fields->FindObjects("messages", "openai.Message"));
  if (list == nullptr || list->empty())
    return MakeError(ErrorCode::kInvalidArgument, "[] is too short - 'messages'");
  for (const Json& item : *list) {
    PUNA_ASSIGN_OR_RETURN(chat::Message message,
                          ReadOpenAiMessage(item, fields->OwnerOf("messages")));
    messages->push_back(std::move(message));
  }
  NameResults(messages);
  return {};
}

// What would change the answer and cannot be had.
Status RefuseUnsupported(const Json& json) {
  PUNA_RETURN_IF_ERROR(
      RefuseFields(json, {{"functions", "use tools"}, {"function_call", "use tool_choice"}}));
  const Json modalities = json.value("modalities", Json());
  for (const Json& one : modalities) {
    if (one != "text")
      return MakeError(ErrorCode::kUnsupported, "modalities: only \"text\" is supported");
  }
  return {};
}

Status ReadChatTools(const Json& json, Fields* fields, GenerationRequest* request) {
  PUNA_RETURN_IF_ERROR(ReadTools(fields, &request->tools));
  for (const chat::Tool& tool : request->tools) {
    if (const std::string type = JsonString(tool.definition, "type", "function");
        type != "function") {
      return MakeError(ErrorCode::kUnsupported, "tools of type \"{}\" are not supported", type);
    }
  }
  PUNA_ASSIGN_OR_RETURN(request->tool_choice,
                        ReadOpenAiToolChoice(json.value("tool_choice", Json()), &request->tools));
  fields->Read("parallel_tool_calls", &request->parallel_tool_calls);
  return fields->status();
}

Result<GenerationRequest> ReadChatCompletion(const Json& json, bool* include_usage) {
  GenerationRequest request;
  request.is_chat = true;
  Fields fields(json, kChatCompletionRequest);
  fields.Read("model", &request.model);
  fields.Read("logprobs", &request.logprobs);
  fields.Read("top_logprobs", &request.top_logprobs);
  fields.Read("_debug_render_only", &request.render_only);
  PUNA_RETURN_IF_ERROR(
      ReadStreamFields(&fields, kChatCompletionRequest, &request.stream, include_usage));
  PUNA_RETURN_IF_ERROR(ReadChoices(&fields, &request.choices));
  if (request.top_logprobs < 0 || request.top_logprobs > 20) {
    return MakeError(ErrorCode::kInvalidArgument, "top_logprobs must be between 0 and 20");
  }
  PUNA_RETURN_IF_ERROR(RefuseUnsupported(json));
  PUNA_RETURN_IF_ERROR(ReadMessageList(&fields, &request.messages));
  PUNA_RETURN_IF_ERROR(ReadChatTools(json, &fields, &request));
  PUNA_ASSIGN_OR_RETURN(std::string effort, ReadNestedEffort(&fields));
  fields.Read("reasoning_effort", &effort);
  PUNA_RETURN_IF_ERROR(fields.status());
  PUNA_RETURN_IF_ERROR(ReadEffort(effort, &request.think));
  PUNA_RETURN_IF_ERROR(ReadOpenAiFormat("response_format", json.value("response_format", Json()),
                                        &request.constraint));
  PUNA_RETURN_IF_ERROR(
      ReadOpenAiSampling(json, &fields, {"max_completion_tokens", "max_tokens"}, &request));
  return request;
}

std::string ChatFinishReason(const Generation& generation, size_t choice) {
  return OpenAiFinishReason(generation.stats(choice).reason, generation.any_tool_calls(choice));
}

Json ChunkChoice(size_t index, Json delta, Json finish_reason) {
  Json choice = {{"index", index}, {"delta", std::move(delta)}};
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

Json Chunk(const AnswerHead& head, Json choice) {
  Json choices = Json::array();
  choices.push_back(std::move(choice));
  return head.Envelope(std::move(choices));
}

// The chunks of one delta. Thinking and content never share one; only the first of a choice has the
// role.
std::vector<Json> DeltaChunks(const AnswerHead& head, const GenerationDelta& delta, bool first) {
  std::vector<Json> chunks;
  const auto add = [&](Json fields) {
    Json message = Json::object();
    if (first && chunks.empty()) message["role"] = "assistant";
    message.update(fields);
    chunks.push_back(Chunk(head, ChunkChoice(delta.choice, std::move(message), nullptr)));
  };
  if (!delta.thinking.empty()) add({{"content", ""}, {"reasoning", delta.thinking}});
  if (!delta.content.empty()) add({{"content", delta.content}});
  if (!delta.tool_calls.empty())
    add({{"content", ""}, {"tool_calls", OpenAiToolCalls(delta.tool_calls)}});
  if (chunks.empty() && (first || !delta.logprobs.empty())) add({{"content", ""}});
  if (!delta.logprobs.empty()) {
    Json& logprobs = chunks.back()["choices"][0]["logprobs"];
    logprobs["content"] = OpenAiLogprobs(delta.logprobs);
  }
  return chunks;
}

http::Task<void> AnswerStream(Call& call, Generation& generation, AnswerHead head,
                              bool include_usage) {
  std::vector<bool> begun(generation.choices());
  const ChunksOf chunks_of = [&](const GenerationDelta& delta) {
    std::vector<Json> chunks = DeltaChunks(head, delta, !begun[delta.choice]);
    begun[delta.choice] = true;
    if (delta.finished) {
      chunks.push_back(Chunk(head, ChunkChoice(delta.choice, Json::object(),
                                               ChatFinishReason(generation, delta.choice))));
    }
    return chunks;
  };
  co_await SendChunks(call, generation, head, include_usage, generation.choices(), chunks_of);
}

Json WholeChoice(const Generation& generation, const GenerationDelta& all) {
  Json message = {{"role", "assistant"}, {"content", all.content}};
  if (!all.thinking.empty()) message["reasoning"] = all.thinking;
  if (!all.tool_calls.empty()) message["tool_calls"] = OpenAiToolCalls(all.tool_calls);
  Json choice = {{"index", all.choice}, {"message", std::move(message)}};
  choice["finish_reason"] = ChatFinishReason(generation, all.choice);
  if (!all.logprobs.empty()) choice["logprobs"]["content"] = OpenAiLogprobs(all.logprobs);
  return choice;
}

http::Task<void> AnswerWhole(Call& call, Generation& generation, AnswerHead head) {
  Result<std::vector<GenerationDelta>> all = co_await generation.Collect();
  if (!all) co_return co_await SendError(call, all.error());
  Json choices = Json::array();
  for (const GenerationDelta& one : *all) choices.push_back(WholeChoice(generation, one));
  Json body = head.Envelope(std::move(choices));
  body["usage"] = OpenAiUsage(CountUsage(generation, generation.choices()));
  TellTruncation(call, generation);
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace

http::Task<void> HandleChatCompletions(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  bool include_usage = false;
  Result<GenerationRequest> request = ReadChatCompletion(*json, &include_usage);
  if (!request) co_return co_await SendError(call, request.error());
  const bool stream = request->stream, render_only = request->render_only;
  AnswerHead head = MakeAnswerHead(
      "chatcmpl-", stream ? "chat.completion.chunk" : "chat.completion", request->model);
  auto generation = co_await Generation::Start(call, *std::move(request));
  if (!generation) co_return co_await SendError(call, generation.error());
  call.writer.OnClientGone((*generation)->Canceller());
  if (render_only) {
    Json body = head.Envelope(Json::array());
    body["_debug_info"]["rendered_template"] = (*generation)->rendered_prompt();
    co_await SendJson(call, 200, std::move(body));
  } else if (stream) {
    co_await AnswerStream(call, **generation, std::move(head), include_usage);
  } else {
    co_await AnswerWhole(call, **generation, std::move(head));
  }
}

}  // namespace puna::api
