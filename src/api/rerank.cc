// POST /api/rerank and /v1/rerank: how well documents answer a query, by a model with a rank head.
// The reference has no such route; request and answer are those of Jina and of llama.cpp's server.
#include <algorithm>

#include "api/embedding.h"
#include "api/errors.h"
#include "api/keep_alive.h"
#include "api/model_catalog.h"
#include "api/routes.h"

namespace puna::api {
namespace {

constexpr size_t kMaxDocuments = 4096;

struct RerankRequest {
  std::string model, query;
  std::vector<std::string> documents;
  int64_t top_n = 0;  // 0: all
  bool return_documents = false;
  EmbeddingRequest embedding;
};

Result<RerankRequest> ReadRerank(const Json& json) {
  RerankRequest request;
  Fields fields(json, "RerankRequest");
  fields.Read("model", &request.model);
  fields.Read("query", &request.query);
  fields.Read("top_n", &request.top_n);
  fields.Read("return_documents", &request.return_documents);
  fields.Read("truncate", &request.embedding.truncate);
  PUNA_RETURN_IF_ERROR(fields.status());
  PUNA_ASSIGN_OR_RETURN(request.embedding.keep_alive, ReadKeepAlive(json));
  if (request.query.empty()) return MakeError(ErrorCode::kInvalidArgument, "query is required");
  if (request.top_n < 0) {
    return MakeError(ErrorCode::kInvalidArgument, "top_n is {}, expected at least 1",
                     request.top_n);
  }
  const Json* documents = fields.Find("documents");
  if (documents == nullptr || !documents->is_array() || documents->empty() ||
      documents->size() > kMaxDocuments) {
    return MakeError(ErrorCode::kInvalidArgument, "documents must be a list of 1 to {} texts",
                     kMaxDocuments);
  }
  for (const Json& document : *documents) {
    if (!document.is_string() && !document.is_object())
      fields.Mismatch("documents", document, "string");
    PUNA_RETURN_IF_ERROR(fields.status());
    request.documents.push_back(document.is_string() ? document.get<std::string>()
                                                     : JsonString(document, "text"));
  }
  return request;
}

void ReplaceAll(std::string_view what, std::string_view with, std::string* text) {
  for (size_t at = text->find(what); at != std::string::npos; at = text->find(what, at)) {
    text->replace(at, what.size(), with);
    at += with.size();
  }
}

// Query and document as the model was trained to see them: in a template of its own, or as a pair,
// closed each and with one more separator between them unless the vocabulary is WordPiece's.
Result<std::vector<EmbeddingInput>> MakeInputs(const ModelEntry& entry,
                                               const RerankRequest& request) {
  const tokenizer::Tokenizer& tokenizer = *entry.tokenizer;
  PUNA_ASSIGN_OR_RETURN(const auto form, entry.file->GetString("tokenizer.chat_template.rerank"));
  PUNA_ASSIGN_OR_RETURN(const auto vocabulary, entry.file->GetString("tokenizer.ggml.model"));
  std::vector<EmbeddingInput> inputs;
  for (const std::string& document : request.documents) {
    std::vector<tokenizer::TokenId>& ids = inputs.emplace_back().tokens;
    if (form && !form->empty()) {
      // The document is put in last, so that its own text is not searched for places.
      std::string text(*form);
      ReplaceAll("{query}", request.query, &text);
      ReplaceAll("{document}", document, &text);
      tokenizer.Encode(text, {.parse_special = true, .add_special = false}, &ids);
      continue;
    }
    tokenizer.Encode(request.query, {.parse_special = false, .add_special = true}, &ids);
    std::vector<tokenizer::TokenId> second;
    tokenizer.Encode(document, {.parse_special = false, .add_special = true}, &second);
    const bool has_prefix =
        tokenizer.prefix() && !second.empty() && second[0] == *tokenizer.prefix();
    if (vocabulary.value_or("") != "bert" && tokenizer.eos()) ids.push_back(*tokenizer.eos());
    ids.insert(ids.end(), second.begin() + (has_prefix ? 1 : 0), second.end());
  }
  return inputs;
}

Status Prepare(Services& services, RerankRequest* request) {
  PUNA_ASSIGN_OR_RETURN(const auto entry, services.catalog->Get(request->model));
  if (!entry->ranks || entry->tokenizer == nullptr) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "\"{}\" does not support reranking: it has no rank head", request->model);
  }
  request->embedding.model = request->model;
  request->embedding.normalize = false;
  PUNA_ASSIGN_OR_RETURN(request->embedding.inputs, MakeInputs(*entry, *request));
  return {};
}

// Best first.
Json ResultsJson(const RerankRequest& request, const EmbeddingResult& result) {
  std::vector<std::pair<float, size_t>> ranked;
  for (size_t i = 0; i < result.vectors.size(); ++i) ranked.emplace_back(result.vectors[i][0], i);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  if (request.top_n > 0 && request.top_n < static_cast<int64_t>(ranked.size()))
    ranked.resize(static_cast<size_t>(request.top_n));
  Json results = Json::array();
  for (const auto& [score, index] : ranked) {
    Json entry = {{"index", index}, {"relevance_score", score}};
    if (request.return_documents) entry["document"]["text"] = request.documents[index];
    results.push_back(std::move(entry));
  }
  return results;
}

}  // namespace

http::Task<void> HandleRerank(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<RerankRequest> request = ReadRerank(*json);
  if (!request) co_return co_await SendError(call, request.error());
  call.model = request->model;
  const Status prepared =
      co_await OnBlockingPoolUnlessGone(call, [&] { return Prepare(call.services, &*request); });
  if (!prepared) co_return co_await SendError(call, prepared.error());
  Result<EmbeddingResult> result = co_await ComputeEmbeddings(call, request->embedding);
  if (!result) co_return co_await SendError(call, result.error());
  Json body = {{"model", request->model}, {"results", ResultsJson(*request, *result)}};
  if (DialectOf(call.request.path) == Dialect::kOpenAi) {
    body["object"] = "list";
    body["usage"] = {{"prompt_tokens", result->prompt_tokens},
                     {"total_tokens", result->prompt_tokens}};
  } else {
    body["total_duration"] = result->total.count();
    body["load_duration"] = result->load.count();
    body["prompt_eval_count"] = result->prompt_tokens;
  }
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
