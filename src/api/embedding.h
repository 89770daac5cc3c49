// The one path of all embedding routes: texts in, vectors out.
#ifndef PUNA_API_EMBEDDING_H_
#define PUNA_API_EMBEDDING_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"

namespace puna::api {

struct EmbeddingRequest {
  std::string model;
  std::vector<std::string> inputs;
  bool truncate =
      true;  // cut inputs that are longer than the context; else they are kInvalidArgument
  int64_t num_ctx = 0;
  std::optional<std::chrono::nanoseconds> keep_alive;
};

struct EmbeddingResult {
  std::vector<std::vector<float>> vectors;  // as pooled, not normalized
  int64_t prompt_tokens = 0;
  int64_t truncated_inputs = 0;
  std::chrono::nanoseconds load{}, total{};
};

// An empty list of inputs only loads the model.
http::Task<Result<EmbeddingResult>> ComputeEmbeddings(Services& services, EmbeddingRequest request);

// Scales to length 1; a zero vector stays.
void Normalize(std::vector<float>* vector);

// keep_alive of a request: a number of seconds or a duration; absent: nothing.
Result<std::optional<std::chrono::nanoseconds>> ReadKeepAlive(const Json& json);

}  // namespace puna::api

#endif  // PUNA_API_EMBEDDING_H_
