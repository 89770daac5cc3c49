// What a client asks for, in the one form that all dialects convert to, and what comes back, in the
// one form that they convert from. No transport here.
#ifndef PUNA_API_GENERATION_REQUEST_H_
#define PUNA_API_GENERATION_REQUEST_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "chat/chat.h"
#include "grammar/grammar.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

// Whether the answer has to call a tool.
struct ToolChoice {
  enum class Kind {
    kAuto,      // as the model likes
    kNone,      // the model is not told of any tools
    kRequired,  // at least one call
    kNamed      // a call of `name`
  };
  Kind kind = Kind::kAuto;
  std::string name;
};

struct GenerationRequest {
  std::string model;  // as the client wrote it

  // Either a conversation ...
  bool is_chat = false;
  std::vector<chat::Message> messages;
  std::vector<chat::Tool> tools;
  ToolChoice tool_choice;
  bool parallel_tool_calls = true;  // false: the answer keeps its first call only
  // ... or a text to go on from ...
  std::string prompt, suffix;
  std::optional<std::string> system, template_text;
  std::vector<tokenizer::TokenId> context;  // an earlier answer's tokens, put before the prompt
  bool raw = false;                         // the prompt as it is: no template, no parsing
  std::vector<std::string> images;          // bytes of image files
  // ... or, where not empty, its tokens: they are the whole prompt, as with `raw`.
  std::vector<tokenizer::TokenId> prompt_tokens;

  chat::Think think;
  bool think_if_able = false;  // a model that cannot think answers without, instead of an error
  Json options = Json::object();
  // What the answer must obey, thinking aside; nothing: free text. Part::Schema for a JSON schema,
  // Part::JsonObject for any object, Part::Gbnf for a grammar.
  std::optional<grammar::Part> constraint;
  // Whether a prompt that is too long loses its oldest part, and whether an answer may go on when
  // the context is full; see prompt_limit.h for what nothing means.
  std::optional<bool> truncate, shift;
  std::optional<std::chrono::nanoseconds> keep_alive;
  bool logprobs = false;
  int64_t top_logprobs = 0;
  bool prompt_logprobs = false;  // the same of the prompt's tokens, before those of the answer
  int64_t choices = 1;           // answers to the same prompt; with a seed, the i-th has seed + i
  bool stream = false;           // the client wants the answer as it comes, not when it is whole
  bool render_only = false;      // return the prompt instead of generating
  bool return_context = false;   // all tokens are wanted at the end
};

struct LogprobEntry {
  std::string token;  // the bytes of its text; part of a character is possible
  double logprob = 0;
  std::vector<std::pair<std::string, double>> top;
};

// What arrived since the last delta of the same choice. Any part may be empty.
struct GenerationDelta {
  size_t choice = 0;
  bool finished = false;  // the last delta of this choice
  std::string content, thinking;
  std::vector<chat::ToolCall> tool_calls;
  std::vector<LogprobEntry> logprobs;          // of all tokens, as they came
  std::vector<LogprobEntry> content_logprobs;  // of those that `content` is made of; chats only
  std::vector<LogprobEntry> prompt_logprobs;   // of the prompt's tokens from the second on
  void Append(GenerationDelta other);
  bool empty() const {
    return content.empty() && thinking.empty() && tool_calls.empty() && logprobs.empty() &&
           prompt_logprobs.empty();
  }
};

}  // namespace puna::api

#endif  // PUNA_API_GENERATION_REQUEST_H_
