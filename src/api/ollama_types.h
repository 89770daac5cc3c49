// The JSON of the native API's generating routes, to and from the internal form.
#ifndef PUNA_API_OLLAMA_TYPES_H_
#define PUNA_API_OLLAMA_TYPES_H_

#include <string>
#include <vector>

#include "api/fields.h"
#include "api/generation_request.h"
#include "engine/token_stream.h"

namespace puna::api {

// Reads what generate and chat share: model, options, format, keep_alive, think, logprobs,
// top_logprobs, truncate, shift, _debug_render_only.
Status ReadCommonFields(const Json& json, Fields* fields, GenerationRequest* request);
// "options" and "keep_alive".
Status ReadNativeExtras(const Json& json, Fields* fields, GenerationRequest* request);
Status ReadMessages(Fields* fields, std::vector<chat::Message>* messages);
// An object that ReadMessages reads as `message`; what is empty is left out, but role and content.
Json MessageJson(const chat::Message& message);
Status ReadTools(Fields* fields, std::vector<chat::Tool>* tools);
// Decodes base64 pictures; data URLs are taken too.
Result<std::vector<std::string>> ReadImages(const Json& list);

Json ToolCallsJson(const std::vector<chat::ToolCall>& calls);
Json LogprobsJson(const std::vector<LogprobEntry>& entries);
// done_reason and the counters of a finished generation; what is zero is left out.
void AddStats(const engine::GenerationStats& stats, Json* json);
// The time of an answer: now, RFC 3339.
std::string CreatedAt();

}  // namespace puna::api

#endif  // PUNA_API_OLLAMA_TYPES_H_
