#include "api/embedding.h"

#include <cmath>

#include "api/completion.h"
#include "api/model_catalog.h"
#include "api/options.h"

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
  PUNA_RETURN_IF_ERROR(entry->RequireTokenizer(request.model));
  Prepared out;
  GenerationOptions options;
  PUNA_RETURN_IF_ERROR(ApplyOptions(entry->installed.parameters, &options));
  if (request.num_gpu) options.num_gpu = *request.num_gpu;
  if (request.main_gpu) options.main_gpu = *request.main_gpu;
  out.model = entry->Reference(/*embeddings=*/true, options);
  if (request.keep_alive) out.model.keep_alive = request.keep_alive;
  const int64_t models_own = options.num_ctx > 0 ? options.num_ctx : entry->context_length;
  const int64_t limit = std::min(request.num_ctx.value_or(models_own), entry->context_length);
  TokenIds special;
  entry->tokenizer->Encode("", {.parse_special = false, .add_special = true}, &special);
  for (const EmbeddingInput& input : request.inputs) {
    TokenIds ids = input.tokens;
    if (ids.empty())
      entry->tokenizer->Encode(input.text, {.parse_special = false, .add_special = true}, &ids);
    if (ids.empty()) return MakeError(ErrorCode::kInvalidArgument, "an input has no tokens");
    if (static_cast<int64_t>(ids.size()) > limit) {
      if (!request.truncate) {
        return MakeError(ErrorCode::kContextExceeded,
                         "the input length exceeds the context length: {} tokens, the limit is {}",
                         ids.size(), limit);
      }
      if (limit <= static_cast<int64_t>(special.size())) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "input after truncation exceeds maximum context length");
      }
      TruncateTo(limit, *entry->tokenizer, &ids);
      ++out.truncated_inputs;
    }
    out.inputs.push_back(std::move(ids));
  }
  return out;
}

// Scales to length 1; a zero vector stays.
void Normalize(std::vector<float>* vector) {
  double sum = 0;
  for (const float value : *vector) sum += static_cast<double>(value) * value;
  if (sum == 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& value : *vector) value = static_cast<float>(value * scale);
}

}  // namespace

Error NamedForEmbedding(Error error, const std::string& model) {
  if (error.code == ErrorCode::kNotFound)
    error.message = fmt::format("model \"{}\" not found, try pulling it first", model);
  return error;
}

http::Task<Result<EmbeddingResult>> ComputeEmbeddings(Call& call, EmbeddingRequest request) {
  call.model = request.model;
  Services& services = call.services;
  const auto start = std::chrono::steady_clock::now();
  Result<Prepared> prepared =
      co_await OnBlockingPoolUnlessGone(call, [&] { return Prepare(services, request); });
  if (!prepared) co_return tl::unexpected(std::move(prepared).error());
  EmbeddingResult result;
  const auto executor = co_await boost::asio::this_coro::executor;
  if (prepared->inputs.empty()) {
    Completion<Result<std::chrono::nanoseconds>> loaded(executor);
    call.writer.OnClientGone(services.scheduler->Load(prepared->model, loaded.Callback()));
    Result<std::chrono::nanoseconds> load = co_await loaded.Wait();
    if (!load) co_return tl::unexpected(std::move(load).error());
    result.load = *load;
    co_return result;
  }
  for (const TokenIds& ids : prepared->inputs)
    result.prompt_tokens += static_cast<int64_t>(ids.size());
  result.truncated_inputs = prepared->truncated_inputs;
  Completion<Result<scheduler::Scheduler::Embeddings>> computed(executor);
  call.writer.OnClientGone(
      services.scheduler->Embed(prepared->model, std::move(prepared->inputs), computed.Callback()));
  Result<scheduler::Scheduler::Embeddings> embeddings = co_await computed.Wait();
  if (!embeddings) co_return tl::unexpected(std::move(embeddings).error());
  for (const std::vector<float>& vector : embeddings->vectors) {
    for (const float value : vector) {
      if (!std::isfinite(value))
        co_return MakeError(ErrorCode::kInternal, "embedding contains NaN or Inf values");
    }
  }
  result.vectors = std::move(embeddings->vectors);
  for (std::vector<float>& vector : result.vectors) {
    if (request.dimensions > 0 && request.dimensions < static_cast<int64_t>(vector.size()))
      vector.resize(static_cast<size_t>(request.dimensions));
    if (request.normalize) Normalize(&vector);
  }
  result.load = embeddings->load;
  result.total = std::chrono::steady_clock::now() - start;
  co_return result;
}

}  // namespace puna::api
