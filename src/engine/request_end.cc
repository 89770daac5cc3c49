#include "engine/request_end.h"

#include "base/metrics.h"

namespace puna::engine {
namespace {

Counter finished("puna_requests_finished_total", "Requests that ended well");
Counter failed("puna_requests_failed_total",
               "Requests that ended with an error, refused, cancelled and late ones included");
Counter cancelled("puna_requests_cancelled_total", "Requests whose client went away");
Counter timed_out("puna_requests_timed_out_total", "Requests that ran past their deadline");

}  // namespace

void CountEnd(RequestEnd end) {
  (end == RequestEnd::kFinished ? finished : failed).Add();
  if (end == RequestEnd::kCancelled) cancelled.Add();
  if (end == RequestEnd::kTimedOut) timed_out.Add();
}

RequestEnd EndWith(const Error& error) {
  return error.code == ErrorCode::kCancelled ? RequestEnd::kCancelled : RequestEnd::kFailed;
}

Error TimeIsOver() { return {ErrorCode::kUnavailable, "the request was not done in its time"}; }

}  // namespace puna::engine
