// The bytes of a connection: a socket, or TLS on top of one, decided at run time.
//
// It is an AsyncStream for Asio and Beast. The operations below it are hidden behind plain function
// objects, so that their templates are compiled once, for this class, and not for every algorithm
// that reads or writes.
#ifndef PUNA_HTTP_BYTE_STREAM_H_
#define PUNA_HTTP_BYTE_STREAM_H_

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "base/result.h"

namespace puna::http {

// A certificate and its key, for any number of connections.
class TlsContext {
 public:
  // PEM files. kInvalidArgument names the file that cannot be used.
  static Result<std::unique_ptr<TlsContext>> Load(const std::string& certificate_file,
                                                  const std::string& key_file);
  ~TlsContext();
  struct State;
  State& state() { return *state_; }

 private:
  TlsContext();
  std::unique_ptr<State> state_;
};

// Not thread safe: used on the strand of its socket, where its handlers run too.
class ByteStream {
 public:
  using executor_type = boost::beast::tcp_stream::executor_type;
  using Handler = std::function<void(boost::system::error_code, size_t)>;

  // `tls` may be null (plain) and outlives the stream.
  ByteStream(boost::asio::ip::tcp::socket socket, TlsContext* tls);
  ~ByteStream();

  executor_type get_executor() { return tcp_.get_executor(); }
  // For timeouts and closing.
  boost::beast::tcp_stream& tcp() { return tcp_; }

  // The server's side of a TLS handshake, and the goodbye without which a client cannot tell an end
  // from an attacker's cut. Nothing to do without TLS. False on failure.
  boost::asio::awaitable<bool> Handshake();
  boost::asio::awaitable<void> Shutdown();

  // Ends early, with what has come of a TLS record kept for the next read, when the cancellation
  // slot of its handler says so.
  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    boost::asio::mutable_buffer first;
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers) && first.size() == 0; ++it) {
      first = *it;
    }
    return boost::asio::async_initiate<Token, void(boost::system::error_code, size_t)>(
        [this](auto handler, boost::asio::mutable_buffer buffer) {
          const auto slot = boost::asio::get_associated_cancellation_slot(handler);
          StartRead(buffer, Erased(std::move(handler)), slot);
        },
        token, first);
  }

  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    Pieces pieces;
    size_t count = 0;
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers) && count < pieces.size(); ++it) {
      if (boost::asio::const_buffer(*it).size() > 0) pieces[count++] = *it;
    }
    return boost::asio::async_initiate<Token, void(boost::system::error_code, size_t)>(
        [this](auto handler, const Pieces& some) { StartWrite(some, Erased(std::move(handler))); },
        token, pieces);
  }

 private:
  using Pieces = std::array<boost::asio::const_buffer, 8>;
  struct Tls;

  // Handlers can only be moved, function objects must be copied.
  template <typename Original>
  static Handler Erased(Original handler) {
    return
        [shared = std::make_shared<Original>(std::move(handler))](
            boost::system::error_code error, size_t bytes) { std::move (*shared)(error, bytes); };
  }
  void StartRead(boost::asio::mutable_buffer buffer, Handler handler,
                 boost::asio::cancellation_slot slot);
  void StartWrite(const Pieces& pieces, Handler handler);

  boost::beast::tcp_stream tcp_;
  std::unique_ptr<Tls> tls_;  // null: plain
};

}  // namespace puna::http

#endif  // PUNA_HTTP_BYTE_STREAM_H_
