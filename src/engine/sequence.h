// One request on its way: its token timeline, the pages of the key/value cache that hold the
// computed part of it, and what turns tokens into text. Not thread safe; only the engine's thread
// touches it.
//
// The one idea: a sequence is `tokens`, of which cache.length() are computed. A prompt that was not
// looked at, a prompt half done, a sequence that lost its pages and one that is generating differ
// only in how many tokens are not computed yet.
#ifndef PUNA_ENGINE_SEQUENCE_H_
#define PUNA_ENGINE_SEQUENCE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "engine/adapter_table.h"
#include "engine/engine.h"
#include "engine/prompt_lookup.h"
#include "engine/stop_matcher.h"
#include "engine/token_stream.h"
#include "grammar/grammar.h"
#include "model/kv_cache.h"
#include "sampler/sampler.h"
#include "tokenizer/tokenizer.h"

namespace puna::engine {

class Sequence {
 public:
  using Clock = std::chrono::steady_clock;

  // `context_length` is the longest that `tokens` may become. `tokenizer` may be null. Pool and
  // tokenizer outlive it. REQUIRES: the request was checked (see Engine::Submit).
  Sequence(GenerateRequest request, std::shared_ptr<const AdapterSet> adapters,
           std::shared_ptr<TokenStream> stream, int64_t context_length,
           const tokenizer::Tokenizer* tokenizer, model::PagePool* pool);

  const std::vector<TokenId>& tokens() const { return tokens_; }
  model::PageTable& cache() { return cache_; }
  const model::PageTable& cache() const { return cache_; }
  // Tokens that are not computed yet; at least 1 between steps.
  int64_t remaining() const { return static_cast<int64_t>(tokens_.size()) - cache_.length(); }
  int64_t prompt_tokens() const { return prompt_tokens_; }
  bool generating() const { return generated_ > 0; }
  // Tokens at the beginning that an encoder has to read before anything else is computed.
  int64_t to_encode() const { return cache_.encoded() > 0 ? 0 : request_.encoder_tokens; }
  Clock::time_point submitted() const { return request_.submitted; }
  Clock::time_point deadline() const { return request_.deadline; }
  bool background() const { return request_.background; }
  bool streamed() const { return request_.streamed; }
  bool further_choice() const { return request_.further_choice; }
  // Nothing is to be generated, so the logits after its prompt are not wanted.
  bool prompt_only() const { return most_generated_ == 0; }
  uint64_t prefix_key() const { return request_.prefix_key; }
  std::span<const backend::AppliedAdapter> adapters() const { return AppliedOf(adapters_.get()); }
  // Somebody said so, or nobody holds the other end.
  bool cancelled() const { return stream_->cancelled() || stream_.use_count() == 1; }

  // The sequence starts (again) with these positions computed.
  void Admit(model::PageTable cached);
  // More of its prompt turned out to be computed: `cached` takes the place of its pages.
  void Adopt(model::PageTable cached);
  // Guesses to verify in the next step, at most `most`; empty if there are none.
  std::vector<TokenId> Guess(int64_t most);
  double guess_acceptance() const { return lookup_.acceptance(); }
  // Guessed tokens count as tokens until TakeLogits or DropDraft.
  void SetDraft(std::span<const TokenId> draft);
  void DropDraft();
  int64_t draft() const { return draft_; }
  // The logits of its prompt's rows are wanted: TakePromptLogits comes after each pass of it.
  bool wants_prompt_logits() const { return request_.prompt_logprobs && !generating(); }
  // Delivers the logprobs of the prompt's tokens that follow the rows that were computed last.
  // `logits` is [rows, vocabulary].
  void TakePromptLogits(std::span<const float> logits, int64_t rows);
  // Of its prompt, those that did not have to be computed.
  int64_t cached_prompt_tokens() const { return cached_prompt_tokens_; }

  // Chooses the token after the last one from its logits, delivers it, and goes on with the guessed
  // ones as long as they are what was chosen, and then with those that a constraint leaves no
  // choice about. `logits` is [1 + draft(), vocabulary], or empty, and `ranked` has as many rows as
  // RankedNeeded asked for. True if that was the end; then the last event is out. REQUIRES:
  // everything is computed.
  bool TakeLogits(std::span<float> logits, std::span<const backend::RankedRow> ranked);
  // How many of the largest logits are enough for each row of TakeLogits; empty: it needs them all.
  std::vector<int64_t> RankedNeeded() const;
  void Fail(const Error& error);
  void Expire();  // its time is over

 private:
  bool context_full() const { return static_cast<int64_t>(tokens_.size()) >= context_length_; }
  bool full() const { return generated_ >= most_generated_ || (context_full() && !request_.shift); }
  bool TakeRow(std::span<float> logits, const backend::RankedRow& ranked);
  void Suppress(std::span<float> logits, const backend::RankedRow& ranked) const;
  Result<std::span<const uint64_t>> AllowedTokens();
  bool Append(TokenId token, std::vector<sampler::TokenProbability> logprobs);
  bool Shows(TokenId token) const;
  std::vector<sampler::TokenProbability> LogprobsOf(TokenId token,
                                                    std::span<const float> logits) const;
  void AskForForced();
  bool TakeForced(std::span<const float> logits);
  bool AppendForced();
  void Shift();
  std::string FlushText();
  void Deliver(TokenDelta delta);
  void CountEnd() const;
  void Finish(FinishReason reason);

  GenerateRequest request_;
  std::shared_ptr<const AdapterSet> adapters_;  // may be null
  std::shared_ptr<TokenStream> stream_;
  const tokenizer::Tokenizer* tokenizer_;
  model::PagePool* pool_;
  std::vector<TokenId> tokens_;
  int64_t prompt_tokens_;
  int64_t cached_prompt_tokens_ = 0;
  int64_t generated_ = 0;
  int64_t context_length_;
  int64_t most_generated_;
  int64_t draft_ = 0;        // of tokens_, at the end
  int64_t prompt_told_ = 1;  // tokens of the prompt whose logprobs need not be told any more
  int64_t drafted_ = 0, accepted_ = 0, shifted_ = 0;
  model::PageTable cache_;
  sampler::Sampler sampler_;
  std::optional<grammar::Matcher> matcher_;  // of the request's constraint
  std::deque<TokenId> forced_;  // what must follow by it, as far as it is known and not appended
  std::optional<tokenizer::StreamDecoder> decoder_;
  StopMatcher stop_;
  PromptLookup lookup_;
  std::optional<Clock::time_point> admitted_, prompt_done_, delivered_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_SEQUENCE_H_
