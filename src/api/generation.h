// The one path of all generating routes, whatever their dialect: a request in the internal form
// becomes a prompt, is submitted, and comes back as a stream of content, thinking and tool calls.
// Dialects only convert (one file each).
#ifndef PUNA_API_GENERATION_H_
#define PUNA_API_GENERATION_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "api/model_catalog.h"
#include "api/options.h"
#include "chat/chat.h"
#include "engine/token_stream.h"
#include "grammar/grammar.h"

namespace puna::api {

// Whether the model must call tools. Where it may, but need not, nothing is constrained.
struct ToolChoice {
  bool required = false;
  std::string name;     // of the only tool that may be called; "": any
  bool several = true;  // more than one call is allowed
};

struct GenerationRequest {
  std::string model;  // as the client wrote it

  // Either a conversation ...
  bool is_chat = false;
  std::vector<chat::Message> messages;
  std::vector<chat::Tool> tools;
  // ... or a text to go on from.
  std::string prompt, suffix;
  std::optional<std::string> system, template_text;
  std::vector<tokenizer::TokenId> context;  // an earlier answer's tokens, put before the prompt
  bool raw = false;                         // the prompt as it is: no template, no parsing
  std::vector<std::string> images;

  chat::Think think;
  Json options = Json::object();
  // What the answer must obey, thinking aside; nothing: free text. Part::Schema for a JSON schema,
  // Part::JsonObject for any object, Part::Gbnf for a grammar.
  std::optional<grammar::Part> constraint;
  ToolChoice tool_choice;
  // Whether a prompt that is too long loses its oldest part, and whether an answer may go on when
  // the context is full; see prompt_limit.h for what nothing means.
  std::optional<bool> truncate, shift;
  std::optional<std::chrono::nanoseconds> keep_alive;
  bool logprobs = false;
  int64_t top_logprobs = 0;
  bool render_only = false;  // return the prompt instead of generating
};

struct LogprobEntry {
  std::string token;  // its text
  double logprob = 0;
  std::vector<std::pair<std::string, double>> top;
};

// What arrived since the last delta. Any part may be empty.
struct GenerationDelta {
  std::string content, thinking;
  std::vector<chat::ToolCall> tool_calls;
  std::vector<LogprobEntry> logprobs;
  void Append(GenerationDelta other);
  bool empty() const {
    return content.empty() && thinking.empty() && tool_calls.empty() && logprobs.empty();
  }
};

// One running request. Belongs to the connection's coroutine; dropping it cancels the work.
class Generation {
 public:
  // Prepares and submits. Errors here come before anything was computed, with the texts that
  // Ollama's clients know.
  static http::Task<Result<std::unique_ptr<Generation>>> Start(Services& services,
                                                               GenerationRequest request);
  ~Generation();

  // Waits for the next delta; nothing when the generation has ended (stats() is valid then). An
  // error ends it too.
  http::Task<Result<std::optional<GenerationDelta>>> Next();
  const engine::GenerationStats& stats() const { return stats_; }
  // The prompt as the template made it.
  const std::string& rendered_prompt() const { return rendered_prompt_; }
  bool any_tool_calls() const { return any_tool_calls_; }
  // Tokens of the prompt that were dropped because they did not fit.
  int64_t prompt_truncated() const { return prompt_truncated_; }
  // From any thread: ends the work within one step and wakes Next.
  std::function<void()> Canceller() const;

 private:
  struct Prepared;
  Generation() = default;
  static Result<Prepared> Prepare(Services& services, const GenerationRequest& request);
  void Absorb(engine::TokenDelta delta, GenerationDelta* out);
  void AbsorbParsed(chat::OutputDelta parsed, GenerationDelta* out);

  std::shared_ptr<const ModelEntry> model_;
  std::shared_ptr<engine::TokenStream> stream_;
  std::shared_ptr<http::Notifier> notifier_;
  std::unique_ptr<chat::OutputParser> parser_;  // null: raw
  std::string rendered_prompt_;
  engine::GenerationStats stats_;
  int64_t prompt_truncated_ = 0;
  bool finished_ = false;
  bool any_tool_calls_ = false;
};

// Says in a header of the answer how many tokens of the prompt were dropped, if any were.
void TellTruncation(Call& call, const Generation& generation);

// Loads the model without generating, for requests with nothing to say; or unloads it if keep_alive
// is 0.
// `*done_reason` becomes "load" or "unload".
http::Task<Status> LoadOrUnload(Services& services, const GenerationRequest& request,
                                std::string* done_reason);

}  // namespace puna::api

#endif  // PUNA_API_GENERATION_H_
