// Long work on the store as answers of the native API: one line of JSON for each report of its
// progress. Internal to api.
#ifndef PUNA_API_PROGRESS_STREAM_H_
#define PUNA_API_PROGRESS_STREAM_H_

#include <functional>
#include <string_view>

#include "api/call.h"

namespace puna::api {

using ProgressWork = std::function<Status(const store::ProgressFunction&)>;

// Runs `work` on a thread for transfers. With `stream` its reports are sent as they come, and an
// error that comes after the first of them as a line; else the answer is {"status": "success"} or
// the error. The work is cancelled when the client goes away or the server stops.
http::Task<void> RunWithProgress(Call& call, bool stream, ProgressWork work);

// The field "stream", true if it is absent.
Result<bool> ReadStreamField(const Json& json, std::string_view owner);

}  // namespace puna::api

#endif  // PUNA_API_PROGRESS_STREAM_H_
