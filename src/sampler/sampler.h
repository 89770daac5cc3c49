// Chooses the next token from logits. The order of the steps is llama.cpp's, which Ollama's users
// know: bias -> penalties -> DRY -> top-k -> typical-p -> top-p -> min-p -> XTC -> temperature ->
// draw; with Mirostat: bias -> penalties -> DRY -> temperature -> Mirostat. The result depends only
// on the options, the logits and the tokens accepted before: same seed, same text, same output.
#ifndef PUNA_SAMPLER_SAMPLER_H_
#define PUNA_SAMPLER_SAMPLER_H_

#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"

namespace puna::sampler {

using TokenId = int32_t;

// Defaults are Ollama's.
struct SamplingOptions {
  double temperature = 0.8;      // 0 or less: the most likely token after the penalties
  int64_t top_k = 40;            // 0 or less: all
  double top_p = 0.9;            // 1 or more: off
  double min_p = 0;              // relative to the most likely token; 0: off
  double typical_p = 1;          // 1 or more: off
  int64_t repeat_last_n = 64;    // window of the penalties in tokens; 0: off, -1: everything
  double repeat_penalty = 1;     // divides positive and multiplies negative logits of seen tokens
  double presence_penalty = 0;   // subtracted once for a seen token
  double frequency_penalty = 0;  // subtracted for each time it was seen
  int64_t seed = -1;             // negative: a random one

  // Added to the logits of these tokens; -infinity forbids one.
  std::map<TokenId, double> logit_bias;
  // XTC: with this probability a draw leaves out all tokens of at least `xtc_threshold` but the
  // least likely of them. A threshold above 0.5 can leave out nothing.
  double xtc_probability = 0;
  double xtc_threshold = 0.1;
  // DRY: a token that would go on repeating `n` earlier tokens loses dry_multiplier *
  // dry_base^(n - dry_allowed_length), from n = dry_allowed_length on. 0: off.
  double dry_multiplier = 0;
  double dry_base = 1.75;
  int64_t dry_allowed_length = 2;
  int64_t dry_penalty_last_n = -1;    // tokens looked at; 0: off, -1: everything
  std::vector<TokenId> dry_breakers;  // tokens that no repetition goes beyond; sorted
  // Mirostat (Basu et al., arXiv 2007.14966), 1 or 2: keeps the surprise of the text near
  // `mirostat_tau`, instead of the steps from top-k to XTC. 0: off.
  int64_t mirostat = 0;
  double mirostat_tau = 5;
  double mirostat_eta = 0.1;  // how fast it adapts

  // Values that cannot mean anything (not finite, a repeat_penalty of 0 or less, a window below
  // -1): kInvalidArgument naming the option.
  Status Validate() const;
};

struct TokenProbability {
  TokenId token = -1;
  // Natural log of the softmax over the whole vocabulary, before any sampling step. An impossible
  // token has the lowest float, not -infinity, because JSON cannot say the latter.
  float logprob = 0;
};

// The sampler of one sequence. Every step keeps at least one token. Equal logits rank by token id,
// so that the result is one and the same on every machine. Not thread safe.
class Sampler {
 public:
  // REQUIRES: options.Validate() is ok.
  explicit Sampler(const SamplingOptions& options);
  // A token of the prompt or of the output: the penalties see it.
  void Accept(TokenId token);
  // Chooses from logits [vocabulary]. Non-finite logits other than -infinity count as -infinity; if
  // nothing is left it is token 0. Scratch memory is kept between calls. Does not Accept.
  //
  // `allowed`, if not empty, has one bit per token, the lowest bit of word 0 first; tokens whose
  // bit is not set, or that have none, do not exist. If nothing finite is left it is the first
  // allowed token.
  TokenId Sample(std::span<const float> logits, std::span<const uint64_t> allowed = {});
  // How many of the largest logits are enough for SampleRanked to choose what Sample would, without
  // a mask, after `later` more tokens; 0: it needs all of them.
  int64_t RankedNeeded(int64_t later) const;
  // Chooses from the largest logits alone: `tokens` with their `logits`, by falling logit and
  // rising token. Tokens below 0 at the end stand for nothing. REQUIRES: as many as RankedNeeded,
  // or all.
  TokenId SampleRanked(std::span<const TokenId> tokens, std::span<const float> logits);
  // The logprob of `chosen` first, then the `count` most likely tokens in falling order (`chosen`
  // may be among them). REQUIRES: 0 <= chosen < vocabulary.
  static std::vector<TokenProbability> Logprobs(std::span<const float> logits, TokenId chosen,
                                                int count);

 private:
  struct Candidate {
    TokenId token;
    float logit;
    double probability;
  };
  // How a draw goes through candidates_: as they lie there, which is by token, or by rank; those of
  // kHead are not sorted.
  enum class Order { kByToken, kHead, kRanked };
  static bool RanksBefore(const Candidate& a, const Candidate& b);
  static void OfferToHeap(size_t limit, Candidate candidate, std::vector<Candidate>* heap);

  bool IsAllowed(size_t token) const;
  TokenId FirstAllowed() const;
  template <typename Offer>
  void ScanAbove(std::span<const float> logits, const float* threshold, Offer offer) const;
  int64_t TopK() const;
  std::map<TokenId, int64_t> Repetitions() const;
  float Penalized(float logit, int64_t times_seen) const;
  float Adjusted(TokenId token, float logit, const std::map<TokenId, int64_t>& repeated) const;
  void Adjust(std::span<const float> logits);
  Candidate MostLikely(std::span<const float> logits) const;
  void CollectTopK(std::span<const float> logits, size_t limit);
  void CollectAll(std::span<const float> logits);
  void CollectNucleus(std::span<const float> logits);
  double SumOfWeights(std::span<const float> logits, float largest) const;
  double SetWeights(float largest, double temperature);
  void ComputeProbabilities(double temperature);
  bool NarrowHead(double mass, size_t* begin, size_t* end, double* before);
  size_t HeadOf(double mass);
  void SortAll();
  void KeepTypical();
  void KeepTopP();
  void KeepMinP();
  void KeepXtc();
  void KeepMirostat1();
  void KeepMirostat2();
  TokenId SampleMirostat(std::span<const float> logits);
  double Uniform();
  TokenId DrawCandidate();
  TokenId Draw();

  SamplingOptions options_;
  bool penalties_on_;
  std::mt19937_64 random_;
  std::vector<TokenId> window_;      // ring of the last repeat_last_n tokens; empty if all count
  size_t window_next_ = 0;           // slot of the ring that the next token overwrites
  std::map<TokenId, int64_t> seen_;  // how often each token is in the window, by token
  std::vector<TokenId> history_;     // all tokens, for DRY; else empty
  double mirostat_mu_;               // most surprise that the next token may have, in bits
  // Tokens whose logit is not the model's, with the new one, by token; scratch.
  std::vector<std::pair<TokenId, float>> adjusted_;
  std::vector<Candidate> candidates_;  // scratch
  std::span<const uint64_t> allowed_;  // during Sample; empty: everything
  Order order_ = Order::kByToken;
};

}  // namespace puna::sampler

#endif  // PUNA_SAMPLER_SAMPLER_H_
