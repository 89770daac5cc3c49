#include "api/answer_events.h"

namespace puna::api {
namespace {

// How long a client waits at most for a sign of life.
constexpr std::chrono::seconds kPingInterval{10};

http::Task<void> WriteEvents(Call& call, AnswerEvents events) {
  for (auto& [type, data] : events) co_await WriteEvent(call, type, std::move(data));
}

http::Task<void> BeginStream(Call& call, const Generation& generation, AnswerBuilder& builder) {
  TellTruncation(call, generation);
  co_await call.writer.StartStream(200, "text/event-stream");
  co_await WriteEvents(call, builder.Begin());
}

http::Task<void> SendStream(Call& call, Generation& generation, AnswerBuilder& builder) {
  while (true) {
    while (!co_await generation.Ready(kPingInterval)) {
      if (!call.writer.started()) {
        co_await BeginStream(call, generation, builder);
      } else {
        co_await WriteEvents(call, builder.Ping());
      }
    }
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!call.writer.started()) {
      // Until something was sent, an error still has a status of its own.
      if (!next) co_return co_await SendError(call, next.error());
      co_await BeginStream(call, generation, builder);
    }
    AnswerEvents events;
    const bool ended = !next || !next->has_value();
    if (!next) {
      events = builder.Fail(next.error());
      NoteError(call, next.error().message);
    } else if (ended) {
      events = builder.Finish(generation.stats());
    } else {
      events = builder.Add(**next);
    }
    co_await WriteEvents(call, std::move(events));
    if (ended) break;
  }
  co_await call.writer.Finish();
}

http::Task<void> SendObject(Call& call, Generation& generation, AnswerBuilder& builder) {
  Result<std::vector<GenerationDelta>> all = co_await generation.Collect();
  if (!all) co_return co_await SendError(call, all.error());
  builder.Add((*all)[0]);
  builder.Finish(generation.stats());
  TellTruncation(call, generation);
  co_await SendJson(call, 200, builder.object());
}

}  // namespace

http::Task<void> SendAnswer(Call& call, Generation& generation, AnswerBuilder& builder, bool stream,
                            bool render_only) {
  call.writer.OnClientGone(generation.Canceller());
  if (render_only) {
    Json body = builder.object();
    body["_debug_info"]["rendered_template"] = generation.rendered_prompt();
    co_await SendJson(call, 200, std::move(body));
  } else if (stream) {
    co_await SendStream(call, generation, builder);
  } else {
    co_await SendObject(call, generation, builder);
  }
}

}  // namespace puna::api
