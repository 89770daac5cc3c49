#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "http/server.h"

namespace puna::http {

struct Notifier::State {
  explicit State(boost::asio::any_io_executor executor) : timer(executor) {}
  boost::asio::steady_timer timer;
  bool notified = false;  // touched on the executor only
};

Notifier::Notifier(boost::asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}
Notifier::~Notifier() = default;

void Notifier::Notify() {
  boost::asio::post(state_->timer.get_executor(), [state = state_] {
    state->notified = true;
    state->timer.cancel();
  });
}

Task<bool> Notifier::Wait(std::chrono::nanoseconds timeout) {
  const auto state = state_;
  if (!state->notified) {
    state->timer.expires_after(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout));
    co_await state->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  co_return std::exchange(state->notified, false);
}

}  // namespace puna::http
