#include "api/embedding.h"

#include <cmath>

#include "api/completion.h"
#include "api/model_catalog.h"
#include "base/duration.h"

namespace puna::api {
namespace {

using scheduler::ModelReference;
using TokenIds = std::vector<tokenizer::TokenId>;

struct Prepared {
  ModelReference model;
  std::vector<TokenIds> inputs;
  int64_t truncated_inputs = 0;
};

// Cuts from the end, but keeps a token that closes the text (EOS, SEP), which the pooling may rest
// on.
void TruncateTo(int64_t limit, const tokenizer::Tokenizer& tokenizer, TokenIds* ids) {
  const tokenizer::TokenId last = ids->back();
  ids->resize(static_cast<size_t>(limit));
  if (tokenizer.KindOf(last) == tokenizer::TokenKind::kControl) ids->back() = last;
}

Result<Prepared> Prepare(Services& services, const EmbeddingRequest& request) {
  PUNA_ASSIGN_OR_RETURN(const auto entry, services.catalog->Get(request.model));
  if (!entry->embedding) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "\"{}\" does not support embeddings: it is no embedding model", request.model);
  }
  if (entry->tokenizer == nullptr) {
    return MakeError(ErrorCode::kUnsupported, "\"{}\" has no vocabulary", request.model);
  }
  Prepared out;
  out.model = entry->Reference(/*embeddings=*/true);
  if (request.keep_alive) out.model.keep_alive = request.keep_alive;
  const int64_t limit = request.num_ctx > 0 ? std::min(request.num_ctx, entry->context_length)
                                            : entry->context_length;
  for (const std::string& text : request.inputs) {
    TokenIds ids;
    entry->tokenizer->Encode(text, {.parse_special = false, .add_special = true}, &ids);
    if (ids.empty()) return MakeError(ErrorCode::kInvalidArgument, "an input has no tokens");
    if (static_cast<int64_t>(ids.size()) > limit) {
      if (!request.truncate) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "the input length exceeds the context length: {} tokens, the limit is {}",
                         ids.size(), limit);
      }
      TruncateTo(limit, *entry->tokenizer, &ids);
      ++out.truncated_inputs;
    }
    out.inputs.push_back(std::move(ids));
  }
  return out;
}

}  // namespace

http::Task<Result<EmbeddingResult>> ComputeEmbeddings(Services& services,
                                                      EmbeddingRequest request) {
  const auto start = std::chrono::steady_clock::now();
  Result<Prepared> prepared =
      co_await OnBlockingPool(services, [&] { return Prepare(services, request); });
  if (!prepared) co_return tl::unexpected(std::move(prepared).error());
  EmbeddingResult result;
  const auto executor = co_await boost::asio::this_coro::executor;
  if (prepared->inputs.empty()) {
    Completion<Result<std::chrono::nanoseconds>> loaded(executor);
    services.scheduler->Load(prepared->model, loaded.Callback());
    Result<std::chrono::nanoseconds> load = co_await loaded.Wait();
    if (!load) co_return tl::unexpected(std::move(load).error());
    result.load = *load;
    co_return result;
  }
  for (const TokenIds& ids : prepared->inputs)
    result.prompt_tokens += static_cast<int64_t>(ids.size());
  result.truncated_inputs = prepared->truncated_inputs;
  Completion<Result<scheduler::Scheduler::Embeddings>> computed(executor);
  services.scheduler->Embed(prepared->model, std::move(prepared->inputs), computed.Callback());
  Result<scheduler::Scheduler::Embeddings> embeddings = co_await computed.Wait();
  if (!embeddings) co_return tl::unexpected(std::move(embeddings).error());
  for (const std::vector<float>& vector : embeddings->vectors) {
    for (const float value : vector) {
      if (!std::isfinite(value))
        co_return MakeError(ErrorCode::kInternal, "embedding contains NaN or Inf values");
    }
  }
  result.vectors = std::move(embeddings->vectors);
  result.load = embeddings->load;
  result.total = std::chrono::steady_clock::now() - start;
  co_return result;
}

void Normalize(std::vector<float>* vector) {
  double sum = 0;
  for (const float value : *vector) sum += static_cast<double>(value) * value;
  if (sum == 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& value : *vector) value = static_cast<float>(value * scale);
}

Result<std::optional<std::chrono::nanoseconds>> ReadKeepAlive(const Json& json) {
  const auto it = json.find("keep_alive");
  if (it == json.end() || it->is_null()) return std::nullopt;
  if (it->is_number()) {
    const double seconds = it->get<double>();
    if (seconds < 0 || seconds >= 9.2e9) return kForever;
    return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
  }
  if (!it->is_string()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "keep_alive must be a number of seconds or a duration such as \"5m\"");
  }
  PUNA_ASSIGN_OR_RETURN(const auto duration, ParseGoDuration(it->get<std::string>()));
  return duration < std::chrono::nanoseconds(0) ? kForever : duration;
}

}  // namespace puna::api
