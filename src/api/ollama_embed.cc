// /api/embed (batches, normalized) and /api/embeddings (one text, as pooled).
#include "api/embedding.h"
#include "api/keep_alive.h"
#include "api/routes.h"

namespace puna::api {
namespace {

Status ReadInput(const Json& json, std::vector<EmbeddingInput>* inputs) {
  const auto it = json.find("input");
  if (it == json.end() || it->is_null()) return {};
  if (it->is_string()) {
    if (!it->get_ref<const std::string&>().empty()) inputs->push_back({it->get<std::string>(), {}});
    return {};
  }
  if (!it->is_array()) return MakeError(ErrorCode::kInvalidArgument, "invalid input type");
  for (const Json& text : *it) {
    if (!text.is_string()) return MakeError(ErrorCode::kInvalidArgument, "invalid input type");
    inputs->push_back({text.get<std::string>(), {}});
  }
  return {};
}

// The fields that both routes share.
Status ReadCommon(const Json& json, Fields* fields, EmbeddingRequest* request) {
  fields->Read("model", &request->model);
  PUNA_RETURN_IF_ERROR(fields->status());
  PUNA_ASSIGN_OR_RETURN(request->keep_alive, ReadKeepAlive(json));
  if (const Json* options = fields->Find("options"); options != nullptr) {
    if (!options->is_object()) fields->Mismatch("options", *options, "map[string]interface {}");
    PUNA_RETURN_IF_ERROR(fields->status());
    Fields nested(*options, "EmbedRequest.options");
    nested.Read("num_ctx", &request->num_ctx);
    nested.Read("num_gpu", &request->num_gpu);
    nested.Read("main_gpu", &request->main_gpu);
    PUNA_RETURN_IF_ERROR(nested.status());
  }
  return {};
}

}  // namespace

http::Task<void> HandleEmbed(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  EmbeddingRequest request;
  Fields fields(*json, "EmbedRequest");
  fields.Read("truncate", &request.truncate);
  fields.Read("dimensions", &request.dimensions);
  Status status = ReadCommon(*json, &fields, &request);
  if (status) status = ReadInput(*json, &request.inputs);
  if (!status) co_return co_await SendError(call, status.error());
  const std::string model = request.model;
  Result<EmbeddingResult> result = co_await ComputeEmbeddings(call, std::move(request));
  if (!result) co_return co_await SendError(call, NamedForEmbedding(result.error(), model));
  Json body = {{"model", model}, {"embeddings", result->vectors}};
  if (!result->vectors.empty()) {
    body["total_duration"] = result->total.count();
    body["load_duration"] = result->load.count();
    body["prompt_eval_count"] = result->prompt_tokens;
    if (result->truncated_inputs > 0) body["prompt_truncated_count"] = result->truncated_inputs;
  }
  co_await SendJson(call, 200, std::move(body));
}

http::Task<void> HandleEmbeddings(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  EmbeddingRequest request;
  std::string prompt;
  Fields fields(*json, "EmbeddingRequest");
  fields.Read("prompt", &prompt);
  const Status status = ReadCommon(*json, &fields, &request);
  if (!status) co_return co_await SendError(call, status.error());
  request.normalize = request.truncate = false;
  if (!prompt.empty()) request.inputs.push_back({std::move(prompt), {}});
  const std::string model = request.model;
  Result<EmbeddingResult> result = co_await ComputeEmbeddings(call, std::move(request));
  if (!result) co_return co_await SendError(call, NamedForEmbedding(result.error(), model));
  Json body = Json::object();
  body["embedding"] = result->vectors.empty() ? Json::array() : Json(result->vectors[0]);
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
