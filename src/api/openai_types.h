// What OpenAI's routes have in common, to and from the internal form.
// https://platform.openai.com/docs/api-reference; defaults and texts where Ollama's clients rely
// on them are Ollama's.
#ifndef PUNA_API_OPENAI_TYPES_H_
#define PUNA_API_OPENAI_TYPES_H_

#include <string>
#include <string_view>
#include <vector>

#include "api/fields.h"
#include "api/generation_request.h"
#include "engine/token_stream.h"

namespace puna::api {

// Sampling fields, under their names in Ollama's options: temperature and top_p (default 1),
// penalties, seed, stop, logit_bias. `limit_fields` name the most tokens of the answer; the first
// that is there counts. Beyond OpenAI's: "options" and "keep_alive" as in the native API.
Status ReadOpenAiSampling(const Json& json, Fields* fields,
                          const std::vector<std::string_view>& limit_fields,
                          GenerationRequest* request);
// "stream" and "stream_options".
Status ReadStreamFields(Fields* fields, std::string_view owner, bool* stream, bool* include_usage);

// A field that is not honoured and may not be ignored: an error if it is there.
struct RefusedField {
  const char* name;
  const char* reason;  // "use tools"
};
Status RefuseFields(const Json& json, std::initializer_list<RefusedField> fields);

// A message's "content": a text, or parts of the types "text", "input_text", "output_text",
// "refusal", "image_url" and "input_image".
Status ReadOpenAiContent(const Json& content, chat::Message* message);
// The "arguments" text of a tool call; kInvalidArgument "invalid tool call arguments".
Result<Json> ParseToolArguments(const std::string& arguments);
// Results of tools whose tool is not named get the name of the call with their id before them: of
// the last one, as some clients count ids anew in each turn.
void NameResults(std::vector<chat::Message>* messages);
// "role", with OpenAI's "developer" as what templates know: "system".
std::string ReadOpenAiRole(const Json& message);
// "none", "auto", "required", {"type": "function", ...}, {"type": "allowed_tools", ...}; the last
// one also shortens `tools`.
Result<ToolChoice> ReadOpenAiToolChoice(const Json& choice, std::vector<chat::Tool>* tools);
// An effort: "none", "minimal", "low", ...
Status ReadEffort(const std::string& effort, chat::Think* think);
// The effort in "reasoning": {"effort"}; "" where there is none.
Result<std::string> ReadNestedEffort(Fields* fields);
// {"type": "text" | "json_object" | "json_schema", ...}; the schema stands in "json_schema" or
// beside the type. `field` is its path in messages.
Status ReadOpenAiFormat(std::string_view field, const Json& format,
                        std::optional<grammar::Part>* constraint);

// "n": how many answers to each prompt.
Status ReadChoices(Fields* fields, int64_t* choices);

// What all objects of an answer have in common.
struct AnswerHead {
  std::string id, object, model;
  int64_t created = 0;
  Json Envelope(Json choices) const;
};
// "<prefix><number>", created now.
AnswerHead MakeAnswerHead(std::string_view id_prefix, std::string object, std::string model);

// "stop", "length" or "tool_calls".
std::string OpenAiFinishReason(engine::FinishReason reason, bool tool_calls);
// Of answers to one or several prompts.
struct UsageCounts {
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};
Json OpenAiUsage(const UsageCounts& counts);
Json OpenAiToolCalls(const std::vector<chat::ToolCall>& calls);
// Entries of {"token", "logprob", "bytes", "top_logprobs"}.
Json OpenAiLogprobs(const std::vector<LogprobEntry>& entries);
// Seconds since 1970.
int64_t UnixNow();

}  // namespace puna::api

#endif  // PUNA_API_OPENAI_TYPES_H_
