#include "api/ollama_answer.h"

#include "api/errors.h"
#include "api/ollama_types.h"

namespace puna::api {
namespace {

http::Task<void> AnswerStream(Call& call, Generation& generation, const DeltaToJson& to_json) {
  while (true) {
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!next && !call.writer.started()) co_return co_await SendError(call, next.error());
    const bool done = !next || !next->has_value();
    if (!done && (*next)->empty()) continue;
    if (!call.writer.started()) {
      TellTruncation(call, generation);
      co_await call.writer.StartStream(200, "application/x-ndjson");
    }
    Json json;
    if (!next) {
      json = ErrorBody(Dialect::kOllama, next.error(), call.id);
      NoteError(call, next.error().message);
    } else {
      json = to_json(done ? GenerationDelta() : **next, done);
      if (done) AddStats(generation.stats(), &json);
    }
    std::string line = DumpJson(json) + "\n";
    co_await call.writer.Write(std::move(line));
    if (done) break;
  }
  co_await call.writer.Finish();
}

http::Task<void> AnswerWhole(Call& call, Generation& generation, const DeltaToJson& to_json) {
  Result<std::vector<GenerationDelta>> all = co_await generation.Collect();
  if (!all) co_return co_await SendError(call, all.error());
  Json json = to_json((*all)[0], true);
  AddStats(generation.stats(), &json);
  TellTruncation(call, generation);
  co_await SendJson(call, 200, std::move(json));
}

}  // namespace

http::Task<void> AnswerNative(Call& call, GenerationRequest request, DeltaToJson to_json) {
  const bool stream = request.stream, render_only = request.render_only;
  const bool with_context = request.return_context;
  auto generation = co_await Generation::Start(call, std::move(request));
  if (!generation) co_return co_await SendError(call, generation.error());
  if (render_only) {
    Json body = to_json(GenerationDelta(), true);
    body["_debug_info"] = Json::object();
    body["_debug_info"]["rendered_template"] = (*generation)->rendered_prompt();
    co_return co_await SendJson(call, 200, std::move(body));
  }
  call.writer.OnClientGone((*generation)->Canceller());
  const Generation& running = **generation;
  const DeltaToJson complete = [&running, with_context, to_json](const GenerationDelta& delta,
                                                                 bool done) {
    Json json = to_json(delta, done);
    if (done && with_context) json["context"] = running.stats().context;
    return json;
  };
  if (stream) {
    co_await AnswerStream(call, **generation, complete);
  } else {
    co_await AnswerWhole(call, **generation, complete);
  }
}

http::Task<void> AnswerLoad(Call& call, GenerationRequest request, DeltaToJson to_json) {
  std::string done_reason;
  const Status done = co_await LoadOrUnload(call, request, &done_reason);
  if (!done) co_return co_await SendError(call, done.error());
  Json body = to_json(GenerationDelta(), true);
  body["done_reason"] = done_reason;
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
