// The one path of all generating routes, whatever their dialect: a request in the internal form
// becomes a prompt, is submitted, and comes back as a stream of content, thinking and tool calls.
// Dialects only convert (one file each).
#ifndef PUNA_API_GENERATION_H_
#define PUNA_API_GENERATION_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "api/generation_request.h"
#include "api/model_catalog.h"
#include "api/options.h"
#include "api/prompt_echo.h"
#include "engine/token_stream.h"

namespace puna::api {

// The running choices of one call. Belongs to the connection's coroutine; dropping it cancels the
// work.
class Generation {
 public:
  // Prepares and submits, unless the client goes meanwhile (kCancelled). Errors here come before
  // anything was computed, with the texts that Ollama's clients know.
  static http::Task<Result<std::unique_ptr<Generation>>> Start(Call& call,
                                                               GenerationRequest request);
  // Several prompts at once; the choices of the first come first. REQUIRES: not empty.
  static http::Task<Result<std::unique_ptr<Generation>>> Start(
      Call& call, std::vector<GenerationRequest> requests);
  ~Generation();

  // Waits for the next delta of any choice; nothing when all have ended. An error of one ends all.
  http::Task<Result<std::optional<GenerationDelta>>> Next();
  // Waits for the end: everything of each choice, in order.
  http::Task<Result<std::vector<GenerationDelta>>> Collect();
  // Waits until Next has something to say; false if `timeout` came first.
  http::Task<bool> Ready(std::chrono::nanoseconds timeout);

  size_t choices() const { return choices_.size(); }
  // Valid when the choice has finished.
  const engine::GenerationStats& stats(size_t choice = 0) const;
  bool any_tool_calls(size_t choice = 0) const;
  // Tokens of the prompts that were dropped because they did not fit.
  int64_t prompt_truncated() const;
  // The prompt of a choice as the template made it.
  const std::string& rendered_prompt(size_t choice = 0) const;
  const std::vector<tokenizer::TokenId>& prompt_tokens(size_t choice = 0) const;
  // REQUIRES: the request has prompt_logprobs.
  const PromptEcho& prompt_echo(size_t choice) const;
  const ModelEntry& model() const;
  // From any thread: ends the work within one step and wakes Next.
  std::function<void()> Canceller() const;

 private:
  struct Prepared;
  struct Choice;
  struct Running;
  Generation();
  static Result<std::shared_ptr<Prepared>> Prepare(Call& call, const GenerationRequest& original);
  static Status PreparePrompt(Call& call, const GenerationRequest& request,
                              const GenerationOptions& options, Prepared* out);
  void AddChoices(std::shared_ptr<Prepared> prepared, int64_t count);
  void Submit(Choice& choice);
  void SubmitNext();
  Result<std::optional<GenerationDelta>> Poll();
  void TakeEvents(Choice& choice);
  void ExpectNextTurn(Choice& choice);
  void LogEnd(const Choice& choice) const;

  Services* services_ = nullptr;
  std::string request_id_;
  std::vector<std::unique_ptr<Choice>> choices_;
  std::shared_ptr<Running> running_;
  size_t next_choice_ = 0;    // where Poll goes on looking
  std::deque<Choice*> next_;  // to be submitted
  size_t submitted_ = 0;      // and not finished
};

// Says in a header of the answer how many tokens of the prompt were dropped, if any were. For
// answers alone: an error drops nothing.
void TellTruncation(Call& call, const Generation& generation);

// Loads the model without generating, for requests with nothing to say; or unloads it if keep_alive
// is 0.
// `*done_reason` becomes "load" or "unload". Ends when the call's client goes away.
http::Task<Status> LoadOrUnload(Call& call, const GenerationRequest& request,
                                std::string* done_reason);

}  // namespace puna::api

#endif  // PUNA_API_GENERATION_H_
