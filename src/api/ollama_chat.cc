// POST /api/chat
#include "api/ollama_answer.h"
#include "api/ollama_types.h"
#include "api/routes.h"

namespace puna::api {
namespace {

Result<GenerationRequest> ReadChat(const Json& json) {
  GenerationRequest request;
  request.is_chat = request.stream = true;
  Fields fields(json, "ChatRequest");
  PUNA_RETURN_IF_ERROR(ReadCommonFields(json, &fields, &request));
  fields.Read("stream", &request.stream);
  PUNA_RETURN_IF_ERROR(fields.status());
  if (request.model.empty()) return MakeError(ErrorCode::kInvalidArgument, "model is required");
  PUNA_RETURN_IF_ERROR(ReadMessages(&fields, &request.messages));
  PUNA_RETURN_IF_ERROR(ReadTools(&fields, &request.tools));
  return request;
}

Json ChatResponse(const std::string& model, const GenerationDelta& delta, bool done) {
  chat::Message message;
  message.role = "assistant";
  message.content = delta.content;
  message.thinking = delta.thinking;
  message.tool_calls = delta.tool_calls;
  Json json = {{"model", model},
               {"created_at", CreatedAt()},
               {"message", MessageJson(message)},
               {"done", done}};
  if (!delta.logprobs.empty()) json["logprobs"] = LogprobsJson(delta.logprobs);
  return json;
}

}  // namespace

http::Task<void> HandleChat(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<GenerationRequest> request = ReadChat(*json);
  if (!request) co_return co_await SendError(call, request.error());
  DeltaToJson to_json = [model = request->model](const GenerationDelta& delta, bool done) {
    return ChatResponse(model, delta, done);
  };
  const bool load_only = request->messages.empty();
  if (load_only) co_return co_await AnswerLoad(call, *std::move(request), std::move(to_json));
  co_await AnswerNative(call, *std::move(request), std::move(to_json));
}

}  // namespace puna::api
