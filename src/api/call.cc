#include "api/call.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/blocking_pool.h"
#include "api/errors.h"
#include "base/text.h"
#include "http/zstd_body.h"

namespace puna::api {
namespace {

constexpr uint64_t kMaxDecompressedBytes = uint64_t{20} << 20;
// Of JSON: what is read or written in less than a millisecond may hold up an I/O thread.
constexpr size_t kMostBytesOnIoThread = 64 << 10;

uint64_t LargestBody(const Settings& settings) {
  const auto mebibytes = static_cast<uint64_t>(settings.max_request_mb);
  return mebibytes == 0 || mebibytes > UINT64_MAX >> 20 ? UINT64_MAX : mebibytes << 20;
}

// Takes the size of the value's text, roughly, from `left`. False, without looking at the rest,
// once it is used up.
bool FitsInto(const Json& json, int64_t* left) {
  constexpr int64_t kUsualBytes = 8;  // of a number, or of what stands around a value
  *left -= kUsualBytes;
  if (json.is_string()) *left -= static_cast<int64_t>(json.get_ref<const std::string&>().size());
  if (json.is_structured()) {
    for (auto item = json.begin(); item != json.end() && *left >= 0; ++item) FitsInto(*item, left);
  }
  return *left >= 0;
}

}  // namespace

http::Task<void> RunOnBlockingPool(Services& services, std::function<void()> work) {
  // `work` outlives the wait, so a reference will do: captures with destructors are not safe inside
  // a co_await expression of GCC 12.
  co_await boost::asio::co_spawn(
      services.blocking->executor(),
      [&work]() -> http::Task<void> {
        work();
        co_return;
      },
      boost::asio::use_awaitable);
}

Status CheckClientIsThere(const Call& call) {
  if (call.writer.client_gone()) return MakeError(ErrorCode::kCancelled, "the client has gone");
  return {};
}

http::Task<Result<Json>> ReadJson(Call& call) {
  const uint64_t limit = LargestBody(call.services.settings);
  Result<std::string> body = co_await call.body.ReadAll(limit);
  // Where Ollama takes such bodies.
  const bool compressed = DialectOf(call.request.path) != Dialect::kOllama &&
                          call.request.Header("content-encoding") == "zstd";
  Result<Json> json;
  const std::function<void()> parse = [&] {
    if (compressed) body = http::DecompressZstd(*body, std::min(limit, kMaxDecompressedBytes));
    if (body) json = ParseBody(*body);
  };
  if (body && (compressed || body->size() > kMostBytesOnIoThread)) {
    co_await RunOnBlockingPool(call.services, parse);
  } else if (body) {
    parse();
  }
  if (!body) {
    if (body.error().code == ErrorCode::kResourceExhausted)
      co_await SendErrorStatus(call, 413, body.error().message);
    co_return tl::unexpected(std::move(body).error());
  }
  co_return json;
}

// What is refused now (a full queue) is likely to be accepted soon.
static constexpr const char* kRetryAfterSeconds = "2";

http::Task<void> SendJson(Call& call, int status, Json json) {
  if (status == 503) call.writer.SetHeader("Retry-After", kRetryAfterSeconds);
  std::string body;
  const std::function<void()> write = [&] { body = DumpJson(json); };
  int64_t left = kMostBytesOnIoThread;
  if (FitsInto(json, &left)) {
    write();
  } else {
    co_await RunOnBlockingPool(call.services, write);
  }
  co_await call.writer.Send(status, "application/json; charset=utf-8", std::move(body));
}

void NoteError(Call& call, std::string_view message) {
  if (call.error.empty()) call.error = Shortened(message);
}

http::Task<void> SendError(Call& call, Error error) {
  Json body = ErrorBody(DialectOf(call.request.path), error, call.id);
  NoteError(call, error.message);
  co_await SendJson(call, HttpStatus(error.code), std::move(body));
}

http::Task<void> SendErrorStatus(Call& call, int status, std::string message) {
  Json body = ErrorBody(DialectOf(call.request.path), status, message, call.id);
  NoteError(call, message);
  co_await SendJson(call, status, std::move(body));
}

http::Task<void> WriteEvent(Call& call, std::string_view name, Json data) {
  std::string event;
  if (!name.empty()) event.append("event: ").append(name).append("\n");
  event.append("data: ").append(DumpJson(data)).append("\n\n");
  co_await call.writer.Write(std::move(event));
}

}  // namespace puna::api
