// Chooses the next token from logits. The order of the steps is llama.cpp's, which Ollama's users
// know: penalties -> top-k -> typical-p -> top-p -> min-p -> temperature -> draw. The result
// depends only on the options, the logits and the tokens accepted before: same seed, same text,
// same output.
#ifndef PUNA_SAMPLER_SAMPLER_H_
#define PUNA_SAMPLER_SAMPLER_H_

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"

namespace puna::sampler {

using TokenId = int32_t;

// Defaults are Ollama's.
struct SamplingOptions {
  double temperature = 0.8;      // 0 or less: the most likely token
  int64_t top_k = 40;            // 0 or less: all
  double top_p = 0.9;            // 1 or more: off
  double min_p = 0;              // relative to the most likely token; 0: off
  double typical_p = 1;          // 1 or more: off
  int64_t repeat_last_n = 64;    // window of the penalties in tokens; 0: off, -1: everything
  double repeat_penalty = 1;     // divides positive and multiplies negative logits of seen tokens
  double presence_penalty = 0;   // subtracted once for a seen token
  double frequency_penalty = 0;  // subtracted for each time it was seen
  int64_t seed = -1;             // negative: a random one

  // Values that cannot mean anything (NaN, negative penalties window below -1, ...):
  // kInvalidArgument naming the option.
  Status Validate() const;
};

struct TokenProbability {
  TokenId token = -1;
  float logprob =
      0;  // natural log of the softmax over the whole vocabulary, before any sampling step
};

// The sampler of one sequence. Not thread safe.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  // A token of the prompt or of the output: the penalties see it.
  void Accept(TokenId token);
  // Chooses from logits [vocabulary]. Non-finite logits other than -infinity count as -infinity; if
  // nothing is left it is token 0. Scratch memory is kept between calls. Does not Accept.
  TokenId Sample(std::span<const float> logits);
  // The logprob of `chosen` first, then the `count` most likely tokens in falling order.
  static std::vector<TokenProbability> Logprobs(std::span<const float> logits, TokenId chosen,
                                                int count);

 private:
  struct Candidate {
    TokenId token;
    float logit;
    float probability;
  };
  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<TokenId> history_;  // ring of the penalty window, or everything
  std::vector<Candidate> candidates_;
};

}  // namespace puna::sampler

#endif  // PUNA_SAMPLER_SAMPLER_H_
