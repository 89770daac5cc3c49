// The streams of OpenAI's choices: chunks of one or several choices, then the usage, then [DONE].
#ifndef PUNA_API_OPENAI_STREAM_H_
#define PUNA_API_OPENAI_STREAM_H_

#include <functional>
#include <vector>

#include "api/call.h"
#include "api/generation.h"
#include "api/openai_types.h"

namespace puna::api {

// Makes the chunks of one delta; called in the order of the stream.
using ChunksOf = std::function<std::vector<Json>(const GenerationDelta&)>;

// What the client's usage counts: each prompt once, every choice. `choices_per_prompt` are
// generated for each. Valid when all have finished.
UsageCounts CountUsage(const Generation& generation, size_t choices_per_prompt);

// Streams `generation` to its end. `head` is that of the last chunk, with the usage, which comes
// where `include_usage` says so. An error in the middle is an event in OpenAI's form.
http::Task<void> SendChunks(Call& call, Generation& generation, const AnswerHead& head,
                            bool include_usage, size_t choices_per_prompt,
                            const ChunksOf& chunks_of);

}  // namespace puna::api

#endif  // PUNA_API_OPENAI_STREAM_H_
