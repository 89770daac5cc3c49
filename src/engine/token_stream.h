// The channel between the worker thread that computes a request and whoever asked for it. The
// worker pushes, the consumer takes; dropping the stream (or Cancel) is how a request is cancelled:
// the worker sees it at its next step.
#ifndef PUNA_ENGINE_TOKEN_STREAM_H_
#define PUNA_ENGINE_TOKEN_STREAM_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/request_end.h"
#include "sampler/sampler.h"

namespace puna::engine {

using TokenId = int32_t;

enum class FinishReason { kNone, kStop, kLength };

// What one token brought. `text` may be empty: part of a character, or held back because
// a stop string may have begun. Text that is still held back when the output ends without a token
// of its own comes as a delta with token -1.
struct TokenDelta {
  TokenId token = -1;
  std::string text;
  // Empty unless asked for; the chosen token first.
  std::vector<sampler::TokenProbability> logprobs;
  // A token of the prompt, told for its logprobs; without text.
  bool of_prompt = false;
};

// Final accounting of a request.
struct GenerationStats {
  int64_t prompt_tokens = 0;         // of the prompt as submitted, cached ones included
  int64_t cached_prompt_tokens = 0;  // of these, not computed because a prefix was cached
  int64_t generated_tokens = 0;      // an end-of-generation token included, as llama.cpp counts
  int64_t drafted_tokens = 0;  // guesses that were verified, and those of them that were right
  int64_t accepted_tokens = 0;
  int64_t prompt_truncated = 0;  // tokens of the prompt that were dropped before it was computed
  int64_t shifted_tokens = 0;    // tokens that were forgotten during generation to make room
  // Waiting for the model to load; from admission to the first token; from then on; from Submit to
  // the end.
  std::chrono::nanoseconds load{}, prompt{}, generate{}, total{};
  FinishReason reason = FinishReason::kNone;
  std::string stop_text;  // the stop string that matched, if one did
  // Prompt and output tokens without the end-of-generation token, where the request wants them.
  std::vector<TokenId> context;
};

struct StreamEvent {
  enum class Kind { kDelta, kFinished, kFailed };
  Kind kind = Kind::kDelta;
  TokenDelta delta;       // kDelta
  GenerationStats stats;  // kFinished: the last event of a stream that ended well
  Error error;            // kFailed: the last event of one that did not
};

// Thread safe.
class TokenStream {
 public:
  // --- consumer
  // Everything that arrived since the last call; empty if nothing did.
  std::vector<StreamEvent> Take();
  // As Take, but waits until there is something.
  std::vector<StreamEvent> Wait();
  // `notify` is called (from the worker thread, or at once if events are waiting) whenever the
  // stream goes from empty to not empty. It must not block and not call back into the stream. Null
  // removes it; after SetNotify returns, the earlier one is not running any more and will not be
  // called.
  void SetNotify(std::function<void()> notify);
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  // --- producer
  void Push(StreamEvent event);
  // Ends the stream from any thread: this failure is its last event, whatever the producer pushes
  // from now on, and the producer sees it as cancelled. Nothing happens to a stream that has ended.
  void Fail(Error error);
  // The same for a request whose time is over.
  void Expire();
  // Its end is in no statistics: it is nobody's request. Before the first Push.
  void LeaveUncounted() { counted_ = false; }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  void FailAs(Error error, RequestEnd end);
  void PushLocked(StreamEvent event, RequestEnd end);

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<StreamEvent> events_;
  std::function<void()> notify_;
  bool ended_ = false;  // the last event was pushed
  std::atomic<bool> counted_{true}, cancelled_{false};
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_TOKEN_STREAM_H_
