// POST /v1/messages and /v1/messages/count_tokens
#include "api/anthropic_messages.h"
#include "api/errors.h"
#include "api/generation.h"
#include "api/routes.h"

namespace puna::api {
namespace {

// How often a stream says that it lives while a long prompt is computed.
constexpr std::chrono::seconds kPingInterval{10};

http::Task<void> WriteEvents(Call& call, std::vector<MessageBuilder::Event> events) {
  for (auto& [type, data] : events) co_await WriteEvent(call, type, std::move(data));
}

http::Task<void> AnswerStream(Call& call, Generation& generation, MessageBuilder& builder) {
  while (true) {
    while (!co_await generation.Ready(kPingInterval)) {
      if (!call.writer.started()) {
        co_await call.writer.StartStream(200, "text/event-stream");
        co_await WriteEvents(call, builder.Begin());
      } else {
        Json ping = {{"type", "ping"}};
        co_await WriteEvent(call, "ping", std::move(ping));
      }
    }
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!call.writer.started()) {
      if (!next) co_return co_await SendError(call, next.error());
      co_await call.writer.StartStream(200, "text/event-stream");
      co_await WriteEvents(call, builder.Begin());
    }
    if (!next) {
      Json error = ErrorBody(Dialect::kAnthropic, next.error());
      co_await WriteEvent(call, "error", std::move(error));
      break;
    }
    const bool ended = !next->has_value();
    std::vector<MessageBuilder::Event> events =
        ended ? builder.Finish(generation.stats()) : builder.Add(**next);
    co_await WriteEvents(call, std::move(events));
    if (ended) break;
  }
  co_await call.writer.Finish();
}

http::Task<void> AnswerWhole(Call& call, Generation& generation, MessageBuilder& builder) {
  Result<std::vector<GenerationDelta>> all = co_await generation.Collect();
  if (!all) co_return co_await SendError(call, all.error());
  builder.Add((*all)[0]);
  builder.Finish(generation.stats());
  co_await SendJson(call, 200, builder.message());
}

}  // namespace

http::Task<void> HandleMessages(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<MessagesRequest> request = ReadMessagesRequest(*json, /*counting=*/false);
  if (!request) co_return co_await SendError(call, request.error());
  const bool render_only = request->generation.render_only;
  auto generation = co_await Generation::Start(call.services, request->generation);
  if (!generation) co_return co_await SendError(call, generation.error());
  TellTruncation(call, **generation);
  call.writer.OnClientGone((*generation)->Canceller());
  MessageBuilder builder(*request, static_cast<int64_t>((*generation)->prompt_tokens().size()));
  if (render_only) {
    Json body = builder.message();
    body["_debug_info"]["rendered_template"] = (*generation)->rendered_prompt();
    co_await SendJson(call, 200, std::move(body));
  } else if (request->stream) {
    co_await AnswerStream(call, **generation, builder);
  } else {
    co_await AnswerWhole(call, **generation, builder);
  }
}

http::Task<void> HandleCountTokens(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<MessagesRequest> request = ReadMessagesRequest(*json, /*counting=*/true);
  if (!request) co_return co_await SendError(call, request.error());
  // The prompt is made and encoded as for an answer, so the count is exact.
  request->generation.render_only = true;
  auto generation = co_await Generation::Start(call.services, std::move(request->generation));
  if (!generation) co_return co_await SendError(call, generation.error());
  Json body = {{"input_tokens", (*generation)->prompt_tokens().size()}};
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
