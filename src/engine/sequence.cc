#include "engine/sequence.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/metrics.h"

namespace puna::engine {
namespace {

// As Ollama's: an answer that never ends ends after so many contexts.
constexpr int64_t kMostContexts = 10;

Histogram first_token("puna_time_to_first_token_seconds", "From the request to its first token",
                      SecondsBounds());
Histogram between_tokens("puna_time_between_tokens_seconds", "From one token to the next",
                         SecondsBounds());
Counter prompt_total("puna_prompt_tokens_total",
                     "Tokens of prompts of ended requests, as far as they were computed");
Counter cached_total("puna_prompt_tokens_cached_total",
                     "Those of them that the prefix cache had already");
Counter prepared_total("puna_prepared_tokens_total",
                       "Tokens of prompts that were computed before somebody asked");
Counter generated_total("puna_generated_tokens_total", "Tokens that ended requests generated");
Counter drafted_total("puna_drafted_tokens_total", "Guesses that were verified");
Counter accepted_total("puna_accepted_tokens_total", "Guesses that were right");

bool IsIn(std::span<const uint64_t> mask, TokenId token) {
  const auto bit = static_cast<size_t>(token);
  return bit / 64 < mask.size() && (mask[bit / 64] >> (bit % 64) & 1) != 0;
}

}  // namespace

Sequence::Sequence(GenerateRequest request, std::shared_ptr<const AdapterSet> adapters,
                   std::shared_ptr<TokenStream> stream, int64_t context_length,
                   const tokenizer::Tokenizer* tokenizer, model::PagePool* pool)
    : request_(std::move(request)),
      adapters_(std::move(adapters)),
      stream_(std::move(stream)),
      tokenizer_(tokenizer),
      pool_(pool),
      tokens_(std::move(request_.prompt)),
      prompt_tokens_(static_cast<int64_t>(tokens_.size())),
      context_length_(context_length),
      cache_(pool),
      sampler_(request_.sampling),
      stop_(request_.stop) {
  most_generated_ = request_.max_tokens >= 0 ? request_.max_tokens : kMostContexts * context_length;
  if (request_.submitted == Clock::time_point{}) request_.submitted = Clock::now();
  if (request_.constraint != nullptr) matcher_.emplace(request_.constraint);
  const bool continues_text = request_.encoder_tokens == 0;
  if (tokenizer_ != nullptr) decoder_.emplace(*tokenizer_, continues_text, /*with_special=*/true);
  for (const TokenId token : tokens_) sampler_.Accept(token);
}

void Sequence::Admit(model::PageTable cached) {
  cache_ = std::move(cached);
  if (!admitted_) {
    admitted_ = Clock::now();
    cached_prompt_tokens_ = cache_.length();
  }
}

void Sequence::Adopt(model::PageTable cached) {
  if (!generating()) cached_prompt_tokens_ += cached.length() - cache_.length();
  cache_ = std::move(cached);
}

std::vector<TokenId> Sequence::Guess(int64_t most) {
  // The last token is never verified: nothing would follow it.
  const auto room = std::min(most_generated_ - generated_,
                             context_length_ - static_cast<int64_t>(tokens_.size()));
  if (!request_.speculate || !generating() || remaining() != 1) return {};
  return lookup_.Propose(tokens_, std::min(most, room - 1));
}

void Sequence::SetDraft(std::span<const TokenId> draft) {
  tokens_.insert(tokens_.end(), draft.begin(), draft.end());
  draft_ = static_cast<int64_t>(draft.size());
  // Where recurrent layers come back to if a guess is wrong.
  if (draft_ > 0) cache_.KeepCheckpointAt(cache_.length());
}

void Sequence::DropDraft() {
  tokens_.resize(tokens_.size() - static_cast<size_t>(draft_));
  draft_ = 0;
}

std::vector<int64_t> Sequence::RankedNeeded() const {
  if (matcher_ || request_.logprobs >= 0) return {};
  const auto suppressed =
      static_cast<int64_t>(tokenizer_ == nullptr ? 0 : tokenizer_->suppressed_tokens().size());
  std::vector<int64_t> counts;
  for (int64_t row = 0; row <= draft_; ++row) {
    const int64_t count = sampler_.RankedNeeded(row);
    if (count == 0) return {};
    counts.push_back(count + suppressed);
  }
  return counts;
}

bool Sequence::TakeLogits(std::span<float> logits, std::span<const backend::RankedRow> ranked) {
  CHECK(remaining() == 0) << remaining() << " tokens are not computed";
  if (!prompt_done_) prompt_done_ = Clock::now();
  if (full()) {  // nothing was asked for but the prompt
    Finish(FinishReason::kLength);
    return true;
  }
  if (generated_ == 0) {  // where the answer begins without a choice, the logits are of no use
    AskForForced();
    const bool ended = AppendForced();
    if (!ended && context_full()) Shift();
    if (generated_ > 0) return ended;
  }
  const std::vector<TokenId> draft(tokens_.end() - draft_, tokens_.end());
  DropDraft();
  drafted_ += static_cast<int64_t>(draft.size());
  const auto computed = static_cast<int64_t>(tokens_.size());
  const size_t width = logits.size() / (draft.size() + 1);
  size_t row = 0;
  bool ended = false;
  while (true) {
    size_t next = tokens_.size();
    ended = TakeRow(logits.subspan(row * width, width),
                    ranked.empty() ? backend::RankedRow() : ranked[row]);
    // In a draft too, so that what it says does not change what is chosen and what is not.
    if (!ended) ended = AppendForced();
    if (ended) break;
    for (; next < tokens_.size(); ++next) {
      lookup_.Judge(tokens_[next]);
      if (row == draft.size() || tokens_[next] != draft[row]) break;
      ++row;
      ++accepted_;
    }
    if (next < tokens_.size() || context_full()) break;
  }
  if (!draft.empty()) {
    cache_.Truncate(computed + static_cast<int64_t>(row));
    cache_.ForgetCheckpoints();
  }
  if (!ended && context_full()) Shift();
  return ended;
}

void Sequence::TakePromptLogits(std::span<const float> logits, int64_t rows) {
  const auto width = logits.size() / static_cast<size_t>(rows);
  const int64_t first = cache_.length() - rows;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t next = first + row + 1;
    // A prompt that lost its pages is computed twice.
    if (next < prompt_told_ || next >= prompt_tokens_) continue;
    const TokenId token = tokens_[static_cast<size_t>(next)];
    TokenDelta delta{.token = token, .text = {}, .logprobs = {}, .of_prompt = true};
    delta.logprobs =
        sampler::Sampler::Logprobs(logits.subspan(static_cast<size_t>(row) * width, width), token,
                                   std::max(request_.logprobs, 0));
    prompt_told_ = next + 1;
    StreamEvent event;
    event.delta = std::move(delta);
    stream_->Push(std::move(event));
  }
}

// What the constraint allows; everything, said by an empty mask, without one.
Result<std::span<const uint64_t>> Sequence::AllowedTokens() {
  if (!matcher_) return std::span<const uint64_t>();
  PUNA_ASSIGN_OR_RETURN(const std::span<const uint64_t> allowed, matcher_->Mask());
  if (std::all_of(allowed.begin(), allowed.end(), [](uint64_t word) { return word == 0; })) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "no token of the model's vocabulary continues the text as the grammar wants");
  }
  return allowed;
}

// Tokens that the model's file forbids.
void Sequence::Suppress(std::span<float> logits, const backend::RankedRow& ranked) const {
  if (tokenizer_ == nullptr) return;
  constexpr float kImpossible = -std::numeric_limits<float>::infinity();
  for (const TokenId never : tokenizer_->suppressed_tokens()) {
    if (never >= 0 && std::cmp_less(never, logits.size()))
      logits[static_cast<size_t>(never)] = kImpossible;
    for (size_t i = 0; i < ranked.columns.size(); ++i) {
      if (ranked.columns[i] == never) ranked.values[i] = kImpossible;
    }
  }
}

std::vector<sampler::TokenProbability> Sequence::LogprobsOf(TokenId token,
                                                            std::span<const float> logits) const {
  if (request_.logprobs < 0) return {};
  return sampler::Sampler::Logprobs(logits, token, request_.logprobs);
}

// True if the token was the last one.
bool Sequence::TakeRow(std::span<float> logits, const backend::RankedRow& ranked) {
  Suppress(logits, ranked);
  if (!forced_.empty()) return TakeForced(logits);
  const Result<std::span<const uint64_t>> allowed = AllowedTokens();
  if (!allowed) {
    Fail(allowed.error());
    return true;
  }
  const bool may_stop = request_.end_when_complete && matcher_ && matcher_->complete();
  TokenId token = logits.empty()
                      ? sampler_.SampleRanked(ranked.columns, ranked.values)
                      : sampler_.Sample(logits, may_stop ? std::span<const uint64_t>() : *allowed);
  if (std::cmp_less(generated_, request_.replay.size()))
    token = request_.replay[static_cast<size_t>(generated_)];
  sampler_.Accept(token);
  ++generated_;
  const bool may_end = !request_.ignore_end || matcher_;
  if (tokenizer_ != nullptr && may_end && tokenizer_->IsEndOfGeneration(token)) {
    Finish(FinishReason::kStop);
    return true;
  }
  if (may_stop && !IsIn(*allowed, token)) {
    Finish(FinishReason::kStop);
    return true;
  }
  if (matcher_) {
    if (const Status accepted = matcher_->Accept(token); !accepted) {
      Fail(accepted.error());
      return true;
    }
  }
  if (Append(token, LogprobsOf(token, logits))) return true;
  AskForForced();
  return false;
}

// Control tokens that a constraint allows are those it names: they belong to the text.
bool Sequence::Shows(TokenId token) const {
  if (request_.show_control_tokens || matcher_ || !tokenizer_->PieceOf(token).empty()) return true;
  const std::vector<TokenId>& shown = request_.shown_control_tokens;
  return std::find(shown.begin(), shown.end(), token) != shown.end();
}

// True if the output ends with it.
bool Sequence::Append(TokenId token, std::vector<sampler::TokenProbability> logprobs) {
  tokens_.push_back(token);
  TokenDelta delta{.token = token, .text = {}, .logprobs = std::move(logprobs)};
  if (decoder_ && Shows(token)) delta.text = stop_.Push(decoder_->Push(token));
  const bool complete = matcher_ && matcher_->finished();
  const bool ends = stop_.matched() || full() || complete;
  if (ends) delta.text += FlushText();
  const FinishReason reason =
      stop_.matched() || complete ? FinishReason::kStop : FinishReason::kLength;
  Deliver(std::move(delta));
  if (ends) Finish(reason);
  return ends;
}

// Behind each token that was chosen, and nowhere else: so it does not matter how many of them are
// appended at once.
void Sequence::AskForForced() {
  if (!matcher_) return;
  const std::vector<TokenId> forced = matcher_->Forced();
  forced_.assign(forced.begin(), forced.end());
}

// Appends the first of them. `logits` is empty where nobody wants to know how likely it was. True
// if the output ends with it.
bool Sequence::TakeForced(std::span<const float> logits) {
  const TokenId token = forced_.front();
  forced_.pop_front();
  if (const Status accepted = matcher_->Accept(token); !accepted) {
    Fail(accepted.error());
    return true;
  }
  sampler_.Accept(token);
  ++generated_;
  return Append(token, LogprobsOf(token, logits));
}

// The tokens that must follow are appended like those of a prompt: they cost one pass together.
// With logprobs each waits for its logits. True if the output ends with one.
bool Sequence::AppendForced() {
  if (request_.logprobs >= 0) return false;
  while (!forced_.empty() && !context_full()) {
    if (TakeForced({})) return true;
  }
  return false;
}

// What follows the forgotten tokens moves to their places, so it is computed again, and with it the
// rest of the page where it begins: the prefix cache may hold that page too, and a copy of it would
// be one page more than a pool of one context has.
void Sequence::Shift() {
  const auto size = static_cast<int64_t>(tokens_.size());
  int64_t keep = request_.keep_tokens < 0 ? prompt_tokens_ : request_.keep_tokens;
  keep = std::min(keep, size - std::max<int64_t>(2, size / 16));
  const int64_t forgotten = std::max<int64_t>(1, (size - keep) / 2);
  tokens_.erase(tokens_.begin() + keep, tokens_.begin() + keep + forgotten);
  shifted_ += forgotten;
  const int64_t kept = std::min(keep, cache_.length());
  cache_.Truncate(kept - kept % backend::kPageTokens);
  lookup_.Reset();
}

// What the matcher still holds. Bytes of a character that the output does not complete are no
// text.
std::string Sequence::FlushText() { return stop_.Finish(); }

void Sequence::Deliver(TokenDelta delta) {
  if (delta.token >= 0) {
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> waited = now - delivered_.value_or(request_.submitted);
    (delivered_ ? between_tokens : first_token).Observe(waited.count());
    delivered_ = now;
  }
  StreamEvent event;
  event.delta = std::move(delta);
  stream_->Push(std::move(event));
}

// However it ended: what was computed was computed.
void Sequence::CountEnd() const {
  if (request_.background) {
    prepared_total.Add(std::max<int64_t>(0, cache_.length() - cached_prompt_tokens_));
    return;
  }
  const int64_t read = prompt_done_ ? prompt_tokens_ : std::min(prompt_tokens_, cache_.length());
  prompt_total.Add(std::max<int64_t>(0, read - request_.added_tokens));
  cached_total.Add(cached_prompt_tokens_);
  generated_total.Add(generated_);
  drafted_total.Add(drafted_);
  accepted_total.Add(accepted_);
}

void Sequence::Finish(FinishReason reason) {
  CountEnd();
  if (std::string rest = FlushText(); !rest.empty())
    Deliver({.token = -1, .text = std::move(rest), .logprobs = {}});
  const Clock::time_point now = Clock::now();
  StreamEvent event;
  event.kind = StreamEvent::Kind::kFinished;
  GenerationStats& stats = event.stats;
  stats.prompt_tokens = prompt_tokens_ - request_.added_tokens;
  stats.cached_prompt_tokens = cached_prompt_tokens_;
  stats.generated_tokens = generated_;
  stats.drafted_tokens = drafted_;
  stats.accepted_tokens = accepted_;
  stats.shifted_tokens = shifted_;
  stats.load = request_.load;
  stats.prompt = *prompt_done_ - *admitted_;
  stats.generate = now - *prompt_done_;
  stats.total = now - request_.submitted;
  stats.reason = stop_.matched() ? FinishReason::kStop : reason;
  stats.stop_text = stop_.match();
  if (request_.return_context) stats.context = tokens_;
  stream_->Push(std::move(event));
}

void Sequence::Fail(const Error& error) {
  CountEnd();
  stream_->Fail(error);
}

void Sequence::Expire() {
  CountEnd();
  stream_->Expire();
}

}  // namespace puna::engine
