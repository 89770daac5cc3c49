// The JSON of OpenAI's chat completions, to and from the internal form.
// https://platform.openai.com/docs/api-reference/chat; defaults and texts where Ollama's clients
// rely on them are Ollama's.
#ifndef PUNA_API_OPENAI_TYPES_H_
#define PUNA_API_OPENAI_TYPES_H_

#include <string>

#include "api/generation.h"

namespace puna::api {

struct ChatCompletionsRequest {
  GenerationRequest generation;
  bool stream = false;
  bool include_usage = false;
};
Result<ChatCompletionsRequest> ReadChatCompletionsRequest(const Json& json);

// "stop", "length" or "tool_calls".
std::string FinishReasonOf(const Generation& generation);
Json UsageJson(const engine::GenerationStats& stats);
Json OpenAiToolCalls(const std::vector<chat::ToolCall>& calls);
Json OpenAiLogprobs(const std::vector<LogprobEntry>& entries);

}  // namespace puna::api

#endif  // PUNA_API_OPENAI_TYPES_H_
