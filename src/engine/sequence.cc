#include "engine/sequence.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"

namespace puna::engine {

Sequence::Sequence(GenerateRequest request, std::shared_ptr<TokenStream> stream,
                   int64_t context_length, const tokenizer::Tokenizer* tokenizer,
                   model::PagePool* pool)
    : request_(std::move(request)),
      stream_(std::move(stream)),
      tokenizer_(tokenizer),
      pool_(pool),
      tokens_(std::move(request_.prompt)),
      prompt_tokens_(static_cast<int64_t>(tokens_.size())),
      token_limit_(context_length),
      cache_(pool),
      sampler_(request_.sampling),
      stop_(request_.stop) {
  if (request_.max_tokens >= 0) {
    token_limit_ = prompt_tokens_ + std::min(request_.max_tokens, context_length - prompt_tokens_);
  }
  if (request_.submitted == Clock::time_point{}) request_.submitted = Clock::now();
  if (tokenizer_ != nullptr)
    decoder_.emplace(*tokenizer_, /*continues_text=*/true, request_.show_control_tokens);
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

bool Sequence::TakeLogits(std::span<float> logits) {
  CHECK(remaining() == 0) << remaining() << " tokens are not computed";
  if (!prompt_done_) prompt_done_ = Clock::now();
  if (full()) {  // nothing was asked for but the prompt
    Finish(FinishReason::kLength);
    return true;
  }
  if (tokenizer_ != nullptr) {
    for (const TokenId never : tokenizer_->suppressed_tokens()) {
      if (never >= 0 && std::cmp_less(never, logits.size())) {
        logits[static_cast<size_t>(never)] = -std::numeric_limits<float>::infinity();
      }
    }
  }
  const TokenId token = sampler_.Sample(logits);
  sampler_.Accept(token);
  ++generated_;
  if (tokenizer_ != nullptr && !request_.ignore_end && tokenizer_->IsEndOfGeneration(token)) {
    Finish(FinishReason::kStop);
    return true;
  }
  tokens_.push_back(token);
  TokenDelta delta{.token = token, .text = {}, .logprobs = {}};
  if (request_.logprobs >= 0)
    delta.logprobs = sampler::Sampler::Logprobs(logits, token, request_.logprobs);
  if (decoder_) delta.text = stop_.Push(decoder_->Push(token));
  const bool ends = stop_.matched() || full();
  if (ends) delta.text += FlushText();
  const FinishReason reason = stop_.matched() ? FinishReason::kStop : FinishReason::kLength;
  Deliver(std::move(delta));
  if (ends) Finish(reason);
  return ends;
}

// What decoder and matcher still hold. The end of the text may itself complete a stop string.
std::string Sequence::FlushText() {
  if (!decoder_ || stop_.matched()) return {};
  std::string text = stop_.Push(decoder_->Finish());
  text += stop_.Finish();
  return text;
}

void Sequence::Deliver(TokenDelta delta) {
  StreamEvent event;
  event.delta = std::move(delta);
  stream_->Push(std::move(event));
}

void Sequence::Finish(FinishReason reason) {
  if (std::string rest = FlushText(); !rest.empty())
    Deliver({.token = -1, .text = std::move(rest), .logprobs = {}});
  const Clock::time_point now = Clock::now();
  StreamEvent event;
  event.kind = StreamEvent::Kind::kFinished;
  GenerationStats& stats = event.stats;
  stats.prompt_tokens = prompt_tokens_;
  stats.cached_prompt_tokens = cached_prompt_tokens_;
  stats.generated_tokens = generated_;
  stats.load = request_.load;
  stats.prompt = *prompt_done_ - *admitted_;
  stats.generate = now - *prompt_done_;
  stats.total = now - request_.submitted;
  stats.reason = stop_.matched() ? FinishReason::kStop : reason;
  stats.stop_text = stop_.match();
  stats.context = tokens_;
  stream_->Push(std::move(event));
}

void Sequence::Fail(const Error& error) {
  StreamEvent event;
  event.kind = StreamEvent::Kind::kFailed;
  event.error = error;
  stream_->Push(std::move(event));
}

}  // namespace puna::engine
