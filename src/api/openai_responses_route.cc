// POST /v1/responses
#include "api/openai_responses.h"
#include "api/routes.h"

namespace puna::api {

http::Task<void> HandleResponses(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<ResponsesRequest> request = ReadResponsesRequest(*json);
  if (!request) co_return co_await SendError(call, request.error());
  ResponseBuilder builder(*request);
  const bool stream = request->generation.stream, render_only = request->generation.render_only;
  auto generation = co_await Generation::Start(call, std::move(request->generation));
  if (!generation) co_return co_await SendError(call, generation.error());
  co_await SendAnswer(call, **generation, builder, stream, render_only);
}

}  // namespace puna::api
