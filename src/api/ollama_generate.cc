// POST /api/generate
#include "api/ollama_answer.h"
#include "api/ollama_types.h"
#include "api/routes.h"

namespace puna::api {
namespace {

Result<GenerationRequest> ReadGenerate(const Json& json) {
  GenerationRequest request;
  request.stream = true;
  Fields fields(json, "GenerateRequest");
  PUNA_RETURN_IF_ERROR(ReadCommonFields(json, &fields, &request));
  fields.Read("prompt", &request.prompt);
  fields.Read("suffix", &request.suffix);
  fields.Read("system", &request.system);
  fields.Read("template", &request.template_text);
  fields.Read("raw", &request.raw);
  fields.Read("stream", &request.stream);
  PUNA_RETURN_IF_ERROR(fields.status());
  if (const Json* context = fields.Find("context"); context != nullptr) {
    if (!context->is_array()) fields.Mismatch("context", *context, "[]int");
    PUNA_RETURN_IF_ERROR(fields.status());
    for (const Json& id : *context) {
      if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
        fields.Mismatch("context", id, "int");
      PUNA_RETURN_IF_ERROR(fields.status());
      request.context.push_back(id.get<int32_t>());
    }
  }
  if (const Json* images = fields.Find("images"); images != nullptr) {
    PUNA_ASSIGN_OR_RETURN(request.images, ReadImages(*images));
  }
  const bool has_template = (request.template_text && !request.template_text->empty()) ||
                            (request.system && !request.system->empty()) ||
                            !request.context.empty();
  if (request.raw && has_template) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "raw mode does not support template, system, or context");
  }
  request.return_context = !request.raw;
  return request;
}

Json GenerateResponse(const std::string& model, const GenerationDelta& delta, bool done) {
  Json json = {
      {"model", model}, {"created_at", CreatedAt()}, {"response", delta.content}, {"done", done}};
  if (!delta.thinking.empty()) json["thinking"] = delta.thinking;
  if (!delta.logprobs.empty()) json["logprobs"] = LogprobsJson(delta.logprobs);
  return json;
}

}  // namespace

http::Task<void> HandleGenerate(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<GenerationRequest> request = ReadGenerate(*json);
  if (!request) co_return co_await SendError(call, request.error());
  DeltaToJson to_json = [model = request->model](const GenerationDelta& delta, bool done) {
    return GenerateResponse(model, delta, done);
  };
  const bool load_only = request->prompt.empty() && !request->render_only;
  if (load_only) co_return co_await AnswerLoad(call, *std::move(request), std::move(to_json));
  co_await AnswerNative(call, *std::move(request), std::move(to_json));
}

}  // namespace puna::api
