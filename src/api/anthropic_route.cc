// POST /v1/messages and /v1/messages/count_tokens
#include "api/anthropic_messages.h"
#include "api/errors.h"
#include "api/routes.h"

namespace puna::api {
namespace {

// Clients that let the server hold the conversation send it whole from then on if the error has
// these details; a mere 400 ends their work, and to ignore the field would lose their history.
http::Task<void> RefuseThread(Call& call) {
  const Error error = {ErrorCode::kUnsupported,
                       "thread is not supported: messages are not stored, send them all"};
  Json body = ErrorBody(Dialect::kAnthropic, error, call.id);
  body["error"]["details"] = {{"error_code", "thread_unsupported_request"},
                              {"unsupported", Json::array()}};
  NoteError(call, error.message);
  co_await SendJson(call, HttpStatus(error.code), std::move(body));
}

// Nothing: what is wrong with the request has been answered.
http::Task<std::optional<MessagesRequest>> ReadRequest(Call& call, bool counting) {
  const Result<Json> json = co_await ReadJson(call);
  if (json && Fields(*json, "MessagesRequest").Find("thread") != nullptr) {
    co_await RefuseThread(call);
    co_return std::nullopt;
  }
  Result<MessagesRequest> request =
      json ? ReadMessagesRequest(*json, counting) : tl::unexpected(json.error());
  if (request) co_return *std::move(request);
  co_await SendError(call, request.error());
  co_return std::nullopt;
}

}  // namespace

http::Task<void> HandleMessages(Call& call) {
  std::optional<MessagesRequest> request = co_await ReadRequest(call, /*counting=*/false);
  if (!request) co_return;
  const GenerationRequest& asked = request->generation;
  auto generation = co_await Generation::Start(call, asked);
  if (!generation) co_return co_await SendError(call, generation.error());
  MessageBuilder builder(*request, static_cast<int64_t>((*generation)->prompt_tokens().size()),
                         call.id);
  co_await SendAnswer(call, **generation, builder, asked.stream, asked.render_only);
}

http::Task<void> HandleCountTokens(Call& call) {
  std::optional<MessagesRequest> request = co_await ReadRequest(call, /*counting=*/true);
  if (!request) co_return;
  // The prompt is made and encoded as for an answer, so the count is exact.
  request->generation.render_only = true;
  auto generation = co_await Generation::Start(call, std::move(request->generation));
  if (!generation) co_return co_await SendError(call, generation.error());
  Json body = {{"input_tokens", (*generation)->prompt_tokens().size()}};
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
