// The one path of all embedding routes: texts in, vectors out.
#ifndef PUNA_API_EMBEDDING_H_
#define PUNA_API_EMBEDDING_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

// A text, or its tokens: these are taken as they are, special ones included.
struct EmbeddingInput {
  std::string text;
  std::vector<tokenizer::TokenId> tokens;
};

struct EmbeddingRequest {
  std::string model;
  std::vector<EmbeddingInput> inputs;
  bool truncate =
      true;  // cut inputs that are longer than the context; else they are kInvalidArgument
  std::optional<int64_t> num_ctx, num_gpu, main_gpu;
  bool normalize = true;   // to length 1
  int64_t dimensions = 0;  // keep the first so many values; 0: all
  std::optional<std::chrono::nanoseconds> keep_alive;
};

struct EmbeddingResult {
  std::vector<std::vector<float>> vectors;
  int64_t prompt_tokens = 0;
  int64_t truncated_inputs = 0;
  std::chrono::nanoseconds load{}, total{};
};

// An empty list of inputs only loads the model. Ends when the call's client goes away.
http::Task<Result<EmbeddingResult>> ComputeEmbeddings(Call& call, EmbeddingRequest request);

// The message of the embedding routes for a model that is not there.
Error NamedForEmbedding(Error error, const std::string& model);

}  // namespace puna::api

#endif  // PUNA_API_EMBEDDING_H_
