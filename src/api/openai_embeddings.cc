// POST /v1/embeddings
#include <bit>
#include <cstring>

#include "api/embedding.h"
#include "api/routes.h"
#include "base/base64.h"

namespace puna::api {
namespace {

tl::unexpected<Error> InvalidInput() {
  return MakeError(ErrorCode::kInvalidArgument, "invalid input");
}

Result<EmbeddingInput> ReadInputTokens(const Json& list) {
  EmbeddingInput input;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) return InvalidInput();
    input.tokens.push_back(id.get<int32_t>());
  }
  return input;
}

// A text, texts, tokens, or lists of tokens.
Status ReadTextsOrTokens(const Json& json, std::vector<EmbeddingInput>* inputs) {
  const bool tokens = json.is_array() && !json.empty() && json[0].is_number();
  const Json list = json.is_array() && !tokens ? json : Json::array({json});
  if (list.empty()) return InvalidInput();
  for (const Json& one : list) {
    if (one.is_string()) {
      inputs->push_back({one.get<std::string>(), {}});
    } else if (one.is_array() && !one.empty()) {
      PUNA_ASSIGN_OR_RETURN(EmbeddingInput input, ReadInputTokens(one));
      inputs->push_back(std::move(input));
    } else {
      return InvalidInput();
    }
  }
  return {};
}

Result<EmbeddingRequest> ReadEmbeddings(const Json& json, bool* base64) {
  EmbeddingRequest request;
  std::string format = "float";
  Fields fields(json, "EmbedRequest");
  fields.Read("model", &request.model);
  fields.Read("dimensions", &request.dimensions);
  fields.Read("encoding_format", &format);
  PUNA_RETURN_IF_ERROR(fields.status());
  *base64 = format == "base64";
  if (format != "float" && format != "base64") {
    return MakeError(ErrorCode::kInvalidArgument,
                     "invalid encoding_format \"{}\", expected \"float\" or \"base64\"", format);
  }
  if (request.dimensions < 0) {
    return MakeError(ErrorCode::kInvalidArgument, "dimensions is {}, expected at least 1",
                     request.dimensions);
  }
  PUNA_RETURN_IF_ERROR(ReadTextsOrTokens(json.value("input", Json()), &request.inputs));
  return request;
}

// Little-endian float32.
std::string FloatBytes(const std::vector<float>& vector) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(vector.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), vector.data(), bytes.size());
  return bytes;
}

}  // namespace

http::Task<void> HandleOpenAiEmbeddings(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  bool base64 = false;
  Result<EmbeddingRequest> request = ReadEmbeddings(*json, &base64);
  if (!request) co_return co_await SendError(call, request.error());
  const std::string model = request->model;
  Result<EmbeddingResult> result = co_await ComputeEmbeddings(call, *std::move(request));
  if (!result) {
    Error error = NamedForEmbedding(result.error(), model);
    co_return co_await SendError(call, std::move(error));
  }
  Json data = Json::array();
  for (size_t i = 0; i < result->vectors.size(); ++i) {
    Json entry = {{"object", "embedding"}, {"index", i}};
    const std::vector<float>& vector = result->vectors[i];
    entry["embedding"] = base64 ? Json(EncodeBase64(FloatBytes(vector))) : Json(vector);
    data.push_back(std::move(entry));
  }
  Json body = {{"object", "list"}, {"data", std::move(data)}, {"model", model}};
  body["usage"] = {{"prompt_tokens", result->prompt_tokens},
                   {"total_tokens", result->prompt_tokens}};
  if (result->truncated_inputs > 0) body["usage"]["truncated_inputs"] = result->truncated_inputs;
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
