// POST /api/tokenize and /api/detokenize: a model's vocabulary, without its weights.
#include "api/model_catalog.h"
#include "api/routes.h"

namespace puna::api {
namespace {

struct TokenizeRequest {
  std::string model, text;
  bool add_special = false;    // the tokens that the model wants around every text
  bool parse_special = false;  // "<|im_end|>" in the text is that control token
  bool with_pieces = false;
};

Result<TokenizeRequest> ReadTokenize(const Json& json) {
  TokenizeRequest request;
  Fields fields(json, "TokenizeRequest");
  fields.Read("model", &request.model);
  fields.Read("text", &request.text);
  fields.Read("content", &request.text);  // as llama.cpp's server calls it
  fields.Read("add_special", &request.add_special);
  fields.Read("parse_special", &request.parse_special);
  fields.Read("with_pieces", &request.with_pieces);
  PUNA_RETURN_IF_ERROR(fields.status());
  return request;
}

Result<std::shared_ptr<const ModelEntry>> EntryWithVocabulary(Services& services,
                                                              const std::string& model) {
  PUNA_ASSIGN_OR_RETURN(auto entry, services.catalog->Get(model));
  PUNA_RETURN_IF_ERROR(entry->RequireTokenizer(model));
  return entry;
}

Result<Json> Tokenize(Services& services, const TokenizeRequest& request) {
  PUNA_ASSIGN_OR_RETURN(const auto entry, EntryWithVocabulary(services, request.model));
  std::vector<tokenizer::TokenId> ids;
  entry->tokenizer->Encode(
      request.text, {.parse_special = request.parse_special, .add_special = request.add_special},
      &ids);
  Json body = {{"model", request.model}, {"tokens", ids}, {"count", ids.size()}};
  if (request.with_pieces) {
    Json pieces = Json::array();
    for (const tokenizer::TokenId id : ids)
      pieces.push_back(std::string(entry->tokenizer->PieceOf(id, /*with_special=*/true)));
    body["pieces"] = std::move(pieces);
  }
  return body;
}

Result<std::vector<tokenizer::TokenId>> ReadIds(const Json& json, Fields* fields) {
  std::vector<tokenizer::TokenId> ids;
  const Json* list = fields->Find("tokens");
  if (list == nullptr || !list->is_array())
    fields->Mismatch("tokens", list == nullptr ? json : *list, "[]int");
  PUNA_RETURN_IF_ERROR(fields->status());
  for (const Json& id : *list) {
    if (!id.is_number_integer()) fields->Mismatch("tokens", id, "int");
    PUNA_RETURN_IF_ERROR(fields->status());
    ids.push_back(id < 0 || id > INT32_MAX ? -1 : id.get<int32_t>());
  }
  return ids;
}

Result<Json> Detokenize(Services& services, const Json& json) {
  std::string model;
  bool special = true;
  Fields fields(json, "DetokenizeRequest");
  fields.Read("model", &model);
  fields.Read("special", &special);
  PUNA_ASSIGN_OR_RETURN(const auto ids, ReadIds(json, &fields));
  PUNA_ASSIGN_OR_RETURN(const auto entry, EntryWithVocabulary(services, model));
  const int64_t vocabulary = entry->tokenizer->vocabulary_size();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocabulary) continue;
    return MakeError(ErrorCode::kInvalidArgument,
                     "tokens[{}] is out of range, the vocabulary has {} tokens", i, vocabulary);
  }
  return Json{{"model", model}, {"text", entry->tokenizer->Decode(ids, special)}};
}

}  // namespace

http::Task<void> HandleTokenize(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<TokenizeRequest> request = ReadTokenize(*json);
  if (!request) co_return co_await SendError(call, request.error());
  call.model = request->model;
  Result<Json> body =
      co_await OnBlockingPoolUnlessGone(call, [&] { return Tokenize(call.services, *request); });
  if (!body) co_return co_await SendError(call, body.error());
  co_await SendJson(call, 200, *std::move(body));
}

http::Task<void> HandleDetokenize(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<Json> body =
      co_await OnBlockingPoolUnlessGone(call, [&] { return Detokenize(call.services, *json); });
  if (!body) co_return co_await SendError(call, body.error());
  co_await SendJson(call, 200, *std::move(body));
}

}  // namespace puna::api
