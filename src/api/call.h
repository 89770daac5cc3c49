// What a route handler works with: one HTTP exchange and the services of the server. Internal to
// api.
#ifndef PUNA_API_CALL_H_
#define PUNA_API_CALL_H_

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "base/json.h"
#include "base/settings.h"
#include "http/server.h"
#include "scheduler/scheduler.h"
#include "store/store.h"

namespace puna::api {

class ModelCatalog;

// Shared by all requests; everything in it is thread safe.
struct Services {
  Settings settings;
  store::Store* store = nullptr;
  scheduler::Scheduler* scheduler = nullptr;
  ModelCatalog* catalog = nullptr;
  // For work that takes long on one thread: templates, tokenizing, hashing, reading manifests.
  boost::asio::thread_pool* blocking = nullptr;
};

struct Call {
  const http::Request& request;
  http::BodyReader& body;
  http::ResponseWriter& writer;
  Services& services;
  std::vector<std::string> captures;  // what * and ** of the route's pattern matched
};

// Largest body of a request that is read whole.
inline constexpr uint64_t kMaxBodyBytes = uint64_t{256} << 20;

// Runs `function` on the blocking pool and comes back to the connection's thread with its result.
template <typename Function>
http::Task<std::invoke_result_t<Function>> OnBlockingPool(Services& services, Function function) {
  co_return co_await boost::asio::co_spawn(
      services.blocking->get_executor(),
      [function = std::move(function)]() mutable -> http::Task<std::invoke_result_t<Function>> {
        co_return function();
      },
      boost::asio::use_awaitable);
}

// Reads and parses the body.
http::Task<Result<Json>> ReadJson(Call& call);
// Beware: GCC 12 miscompiles braced initializers inside a co_await expression; name the object
// first.
http::Task<void> SendJson(Call& call, int status, Json json);
// Ollama's error body with the status of the code.
http::Task<void> SendError(Call& call, Error error);

}  // namespace puna::api

#endif  // PUNA_API_CALL_H_
