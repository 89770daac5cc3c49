#include "api/call.h"

#include "api/errors.h"

namespace puna::api {

http::Task<Result<Json>> ReadJson(Call& call) {
  Result<std::string> body = co_await call.body.ReadAll(kMaxBodyBytes);
  if (!body) co_return tl::unexpected(std::move(body).error());
  co_return ParseBody(*body);
}

// What is refused now (a full queue) is likely to be accepted soon.
static constexpr const char* kRetryAfterSeconds = "2";

http::Task<void> SendJson(Call& call, int status, Json json) {
  if (status == 503) call.writer.SetHeader("Retry-After", kRetryAfterSeconds);
  std::string body = DumpJson(json);
  co_await call.writer.Send(status, "application/json; charset=utf-8", std::move(body));
}

http::Task<void> SendError(Call& call, Error error) {
  Json body = OllamaError(error);
  co_await SendJson(call, HttpStatus(error.code), std::move(body));
}

}  // namespace puna::api
