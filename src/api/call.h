// What a route handler works with: one HTTP exchange and the services of the server. Internal to
// api.
#ifndef PUNA_API_CALL_H_
#define PUNA_API_CALL_H_

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "base/json.h"
#include "base/settings.h"
#include "http/server.h"
#include "registry/registry.h"
#include "scheduler/scheduler.h"
#include "store/store.h"

namespace puna::api {

class BlockingPool;
class ModelCatalog;
class TransferThreads;
struct Route;

// Shared by all requests; everything in it is thread safe.
struct Services {
  Settings settings;
  store::Store* store = nullptr;
  scheduler::Scheduler* scheduler = nullptr;
  ModelCatalog* catalog = nullptr;
  BlockingPool* blocking = nullptr;
  registry::Registry* registry = nullptr;
  // For what takes minutes and mostly waits: pull, push, create.
  TransferThreads* transfers = nullptr;
  std::atomic<bool>* stopping = nullptr;  // true from the beginning of a shutdown on
};

struct Call {
  const http::Request& request;
  http::BodyReader& body;
  http::ResponseWriter& writer;
  Services& services;
  std::vector<std::string> captures;  // what * and ** of the route's pattern matched
  const Route* route = nullptr;       // null: the path has none of this method
  std::string_view pattern{};         // of the path's routes, whatever the method; "": no such path
  std::string id{};                   // of the request, for the client and the log

  // For the log, as far as they are known: the name of the key that was shown, the model as the
  // client wrote it, and what was answered instead of a success.
  std::string key{}, model{}, error{};
};

// Runs `work` on the blocking pool and comes back to the connection's thread.
http::Task<void> RunOnBlockingPool(Services& services, std::function<void()> work);
// The same with a result.
template <typename Function>
http::Task<std::invoke_result_t<Function>> OnBlockingPool(Services& services, Function function) {
  std::optional<std::invoke_result_t<Function>> result;
  co_await RunOnBlockingPool(services, [&] { result.emplace(function()); });
  co_return *std::move(result);
}

// kCancelled once the client has gone. Any thread.
Status CheckClientIsThere(const Call& call);
// For what may take long and changes nothing, with a Result or Status: kCancelled, without a start,
// where the client has gone by the time a thread is free.
template <typename Function>
http::Task<std::invoke_result_t<Function>> OnBlockingPoolUnlessGone(Call& call, Function function) {
  co_return co_await OnBlockingPool(call.services, [&]() -> std::invoke_result_t<Function> {
    PUNA_RETURN_IF_ERROR(CheckClientIsThere(call));
    return function();
  });
}

// Reads and parses the body. One that is larger than the limit is answered here, with 413.
http::Task<Result<Json>> ReadJson(Call& call);
// Beware: GCC 12 miscompiles braced initializers inside a co_await expression; name the object
// first.
http::Task<void> SendJson(Call& call, int status, Json json);
// The error in the form of the path's dialect, with the status of its code. Does nothing where an
// answer has begun.
http::Task<void> SendError(Call& call, Error error);
http::Task<void> SendErrorStatus(Call& call, int status, std::string message);
// For the log: what a stream that has begun ends with. The first one counts.
void NoteError(Call& call, std::string_view message);
// One server-sent event; without a name only its data.
http::Task<void> WriteEvent(Call& call, std::string_view name, Json data);

}  // namespace puna::api

#endif  // PUNA_API_CALL_H_
