// POST /v1/chat/completions
#include "api/generation.h"
#include "api/ollama_types.h"
#include "api/openai_stream.h"
#include "api/openai_types.h"
#include "api/routes.h"

namespace puna::api {
namespace {

constexpr std::string_view kOwner = "ChatCompletionRequest";

Result<std::vector<chat::ToolCall>> ReadToolCalls(const Json& calls) {
  std::vector<chat::ToolCall> out;
  if (calls.is_null()) return out;
  if (!calls.is_array())
    return MakeError(ErrorCode::kInvalidArgument, "messages.tool_calls must be a list");
  for (const Json& item : calls) {
    const Json function =
        item.is_object() ? item.value("function", Json::object()) : Json::object();
    chat::ToolCall call;
    call.id = JsonString(item, "id");
    call.index = static_cast<int>(out.size());
    call.name = JsonString(function, "name");
    PUNA_ASSIGN_OR_RETURN(call.arguments, ParseToolArguments(JsonString(function, "arguments")));
    out.push_back(std::move(call));
  }
  return out;
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
    message.role = ReadOpenAiRole(item);
    message.thinking = JsonString(item, "reasoning", JsonString(item, "reasoning_content"));
    message.tool_call_id = JsonString(item, "tool_call_id");
    if (message.role == "tool") message.tool_name = ToolNameOf(item, *messages);
    PUNA_RETURN_IF_ERROR(ReadOpenAiContent(item.value("content", Json()), &message));
    PUNA_ASSIGN_OR_RETURN(message.tool_calls, ReadToolCalls(item.value("tool_calls", Json())));
    messages->push_back(std::move(message));
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

Result<GenerationRequest> ReadRequest(const Json& json, StreamFields* stream) {
  GenerationRequest request;
  request.is_chat = true;
  Fields fields(json, kOwner);
  fields.Read("model", &request.model);
  fields.Read("logprobs", &request.logprobs);
  fields.Read("top_logprobs", &request.top_logprobs);
  fields.Read("_debug_render_only", &request.render_only);
  PUNA_RETURN_IF_ERROR(ReadStreamFields(&fields, kOwner, stream));
  PUNA_RETURN_IF_ERROR(ReadChoices(&fields, &request.choices));
  if (request.top_logprobs < 0 || request.top_logprobs > 20) {
    return MakeError(ErrorCode::kInvalidArgument, "top_logprobs must be between 0 and 20");
  }
  PUNA_RETURN_IF_ERROR(ReadMessageList(json, &request.messages));
  PUNA_RETURN_IF_ERROR(ReadChatTools(json, &fields, &request));
  const std::string nested = JsonString(json.value("reasoning", Json()), "effort");
  PUNA_RETURN_IF_ERROR(ReadEffort(JsonString(json, "reasoning_effort", nested), &request.think));
  PUNA_RETURN_IF_ERROR(ReadOpenAiFormat("response_format", json.value("response_format", Json()),
                                        &request.constraint));
  PUNA_RETURN_IF_ERROR(
      ReadOpenAiSampling(json, &fields, {"max_completion_tokens", "max_tokens"}, &request));
  return request;
}

std::string FinishReasonOf(const Generation& generation, size_t choice) {
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
                                               FinishReasonOf(generation, delta.choice))));
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
  choice["finish_reason"] = FinishReasonOf(generation, all.choice);
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
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace

http::Task<void> HandleChatCompletions(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  StreamFields stream;
  Result<GenerationRequest> request = ReadRequest(*json, &stream);
  if (!request) co_return co_await SendError(call, request.error());
  AnswerHead head = MakeAnswerHead(
      "chatcmpl-", stream.stream ? "chat.completion.chunk" : "chat.completion", request->model);
  const bool render_only = request->render_only;
  auto generation = co_await Generation::Start(call.services, *std::move(request));
  if (!generation) co_return co_await SendError(call, generation.error());
  TellTruncation(call, **generation);
  call.writer.OnClientGone((*generation)->Canceller());
  if (render_only) {
    Json body = head.Envelope(Json::array());
    body["_debug_info"]["rendered_template"] = (*generation)->rendered_prompt();
    co_await SendJson(call, 200, std::move(body));
  } else if (stream.stream) {
    co_await AnswerStream(call, **generation, std::move(head), stream.include_usage);
  } else {
    co_await AnswerWhole(call, **generation, std::move(head));
  }
}

}  // namespace puna::api
