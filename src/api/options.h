// "options" of a request and PARAMETER lines of a model, as one table: name, type, and where the
// value goes.
#ifndef PUNA_API_OPTIONS_H_
#define PUNA_API_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sampler/sampler.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

struct GenerationOptions {
  sampler::SamplingOptions sampling;
  int64_t num_ctx = 0;       // tokens; 0: the server's default
  int64_t num_predict = -1;  // tokens; negative: until the context is full
  int64_t num_keep = 4;
  int64_t num_gpu = -1;   // layers on GPUs; negative: the server's default
  int64_t main_gpu = -1;  // the only GPU to use; negative: the server's default
  std::vector<std::string> stop;
  std::string grammar;  // GBNF; wins over the request's format
  // By token id or text, as written; see ResolveTokens.
  Json logit_bias;
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
};

// Applies `parameters` (from the model) and then `options` (from the request; it wins). Unknown
// names are ignored with a line in the log; a value of the wrong type is kInvalidArgument naming
// the option and both types. "stop" of the request replaces that of the model.
Status ApplyOptions(const Json& options, GenerationOptions* out);

// Fills what of `out->sampling` speaks of tokens. "logit_bias" is an object from ids or texts to
// numbers, or a list of such pairs; false forbids. A text stands for each of its tokens. A token
// that contains a text of "dry_sequence_breakers" is a breaker.
Status ResolveTokens(const tokenizer::Tokenizer& tokenizer, GenerationOptions* out);

}  // namespace puna::api

#endif  // PUNA_API_OPTIONS_H_
