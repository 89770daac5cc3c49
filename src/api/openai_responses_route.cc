// POST /v1/responses
#include "api/generation.h"
#include "api/openai_responses.h"
#include "api/routes.h"

namespace puna::api {
namespace {

http::Task<void> WriteEvents(Call& call, std::vector<ResponseBuilder::Event> events) {
  for (auto& [type, data] : events) co_await WriteEvent(call, type, std::move(data));
}

http::Task<void> AnswerStream(Call& call, Generation& generation, ResponseBuilder& builder) {
  while (true) {
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!call.writer.started()) {
      if (!next) co_return co_await SendError(call, next.error());
      co_await call.writer.StartStream(200, "text/event-stream");
      co_await WriteEvents(call, builder.Begin());
    }
    std::vector<ResponseBuilder::Event> events;
    const bool ended = !next || !next->has_value();
    if (!next) {
      events = builder.Fail(next.error());
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

http::Task<void> AnswerWhole(Call& call, Generation& generation, ResponseBuilder& builder) {
  Result<std::vector<GenerationDelta>> all = co_await generation.Collect();
  if (!all) co_return co_await SendError(call, all.error());
  builder.Add((*all)[0]);
  builder.Finish(generation.stats());
  co_await SendJson(call, 200, builder.response());
}

}  // namespace

http::Task<void> HandleResponses(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<ResponsesRequest> request = ReadResponsesRequest(*json);
  if (!request) co_return co_await SendError(call, request.error());
  ResponseBuilder builder(*request);
  const bool render_only = request->generation.render_only;
  auto generation = co_await Generation::Start(call.services, std::move(request->generation));
  if (!generation) co_return co_await SendError(call, generation.error());
  TellTruncation(call, **generation);
  call.writer.OnClientGone((*generation)->Canceller());
  if (render_only) {
    Json body = builder.response();
    body["_debug_info"]["rendered_template"] = (*generation)->rendered_prompt();
    co_await SendJson(call, 200, std::move(body));
  } else if (request->stream) {
    co_await AnswerStream(call, **generation, builder);
  } else {
    co_await AnswerWhole(call, **generation, builder);
  }
}

}  // namespace puna::api
