// Sends a running generation as the native API does: one JSON object a line, or one object in all.
#ifndef PUNA_API_OLLAMA_ANSWER_H_
#define PUNA_API_OLLAMA_ANSWER_H_

#include <functional>

#include "api/generation.h"

namespace puna::api {

// `to_json` makes the object of a delta; `done` is true for the last one, whose delta is empty in a
// stream and everything otherwise.
using DeltaToJson = std::function<Json(const GenerationDelta& delta, bool done)>;

// Starts the request and answers it to the end. What fails before the first line has a status of
// its own; later errors are the last line of the stream.
http::Task<void> AnswerNative(Call& call, GenerationRequest request, DeltaToJson to_json);

// Answers a request that has nothing to say: the model is loaded, or unloaded if keep_alive is 0.
http::Task<void> AnswerLoad(Call& call, GenerationRequest request, DeltaToJson to_json);

}  // namespace puna::api

#endif  // PUNA_API_OLLAMA_ANSWER_H_
