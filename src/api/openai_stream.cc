#include "api/openai_stream.h"

#include "api/errors.h"

namespace puna::api {

UsageCounts CountUsage(const Generation& generation, size_t choices_per_prompt) {
  UsageCounts counts;
  for (size_t i = 0; i < generation.choices(); ++i) {
    const engine::GenerationStats& stats = generation.stats(i);
    counts.completion_tokens += stats.generated_tokens;
    if (i % choices_per_prompt != 0) continue;
    counts.prompt_tokens += stats.prompt_tokens;
    counts.cached_tokens += stats.cached_prompt_tokens;
  }
  return counts;
}

http::Task<void> SendChunks(Call& call, Generation& generation, const AnswerHead& head,
                            bool include_usage, size_t choices_per_prompt,
                            const ChunksOf& chunks_of) {
  while (true) {
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!next && !call.writer.started()) co_return co_await SendError(call, next.error());
    if (!call.writer.started()) {
      TellTruncation(call, generation);
      co_await call.writer.StartStream(200, "text/event-stream");
    }
    if (!next) {
      Json error = ErrorBody(Dialect::kOpenAi, next.error(), call.id);
      NoteError(call, next.error().message);
      co_await WriteEvent(call, "", std::move(error));
      include_usage = false;  // unknown: choices were cut off
      break;
    }
    if (!next->has_value()) break;
    std::vector<Json> chunks = chunks_of(**next);
    for (Json& chunk : chunks) co_await WriteEvent(call, "", std::move(chunk));
  }
  if (include_usage) {
    Json usage = head.Envelope(Json::array());
    usage["usage"] = OpenAiUsage(CountUsage(generation, choices_per_prompt));
    co_await WriteEvent(call, "", std::move(usage));
  }
  co_await call.writer.Write("data: [DONE]\n\n");
  co_await call.writer.Finish();
}

}  // namespace puna::api
