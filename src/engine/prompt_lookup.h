// Guesses what a sequence says next from what it has said or read before: the tokens that followed
// the last occurrence of its last three. Worth it where text is copied (editing, quoting, code);
// elsewhere there is nothing to guess from, or the guesses are not believed. Not thread safe.
#ifndef PUNA_ENGINE_PROMPT_LOOKUP_H_
#define PUNA_ENGINE_PROMPT_LOOKUP_H_

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/token_stream.h"

namespace puna::engine {

class PromptLookup {
 public:
  // At most `most` tokens that may follow `tokens`; empty if their end is new. `tokens` may only
  // have grown since the last call; otherwise Reset comes before. A long prompt becomes known over
  // several calls, its beginning first.
  std::vector<TokenId> Propose(std::span<const TokenId> tokens, int64_t most);
  // `token` came; was it what the last proposal said? Proposals are judged by this also when they
  // are not used, which costs nothing and lets a sequence that begins to copy find it out.
  void Judge(TokenId token);
  // The estimated probability that the next proposed token is right.
  double acceptance() const { return acceptance_; }
  void Reset();

 private:
  std::unordered_map<uint64_t, int64_t> last_;  // hash of three tokens -> where their last one is
  int64_t indexed_ = 0;                         // of the sequence's tokens
  std::vector<TokenId> proposed_;
  size_t judged_ = 0;      // of proposed_
  double acceptance_ = 0;  // what is unproven is not believed
};

// How many of `available` proposed tokens are worth verifying, where `seconds(k)` is the duration
// of a step with k of them, `rows` the tokens that the step brings without: the number that brings
// the most tokens a second, if it brings clearly more than none. 0: none is.
template <typename Seconds>
int64_t WorthVerifying(double acceptance, int64_t available, int64_t rows, Seconds seconds) {
  constexpr double kClearly = 1.05;
  const double plain = seconds(0);
  int64_t best = 0;
  double best_gain = kClearly, expected = 0, probability = 1;
  for (int64_t k = 1; k <= available; ++k) {
    probability *= acceptance;
    expected += probability;
    const double gain = (1 + expected / static_cast<double>(rows)) * plain / seconds(k);
    if (gain <= best_gain) continue;
    best_gain = gain;
    best = k;
  }
  return best;
}

}  // namespace puna::engine

#endif  // PUNA_ENGINE_PROMPT_LOOKUP_H_
