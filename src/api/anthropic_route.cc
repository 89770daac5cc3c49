// POST /v1/messages and /v1/messages/count_tokens
#include "api/anthropic_messages.h"
#include "api/routes.h"

namespace puna::api {

http::Task<void> HandleMessages(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<MessagesRequest> request = ReadMessagesRequest(*json, /*counting=*/false);
  if (!request) co_return co_await SendError(call, request.error());
  const GenerationRequest& asked = request->generation;
  auto generation = co_await Generation::Start(call.services, asked);
  if (!generation) co_return co_await SendError(call, generation.error());
  MessageBuilder builder(*request, static_cast<int64_t>((*generation)->prompt_tokens().size()));
  co_await SendAnswer(call, **generation, builder, asked.stream, asked.render_only);
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
