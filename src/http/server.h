// An HTTP/1.1 server on Boost.Beast: connections as C++20 coroutines on a few threads. Transport
// only: it knows nothing of models, JSON or dialects.
//
// A handler is a coroutine that reads the request's body as far as it likes and answers through the
// ResponseWriter, whole or as a stream. Long computation does not belong on these threads: handlers
// post it elsewhere and wait (Notifier).
#ifndef PUNA_HTTP_SERVER_H_
#define PUNA_HTTP_SERVER_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace puna::http {

template <typename T>
using Task = boost::asio::awaitable<T>;

struct Request {
  std::string method;                                        // upper case
  std::string path;                                          // percent-decoded, without the query
  std::string target;                                        // as sent, perhaps with a host
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, in order
  std::string peer_address;

  // The first header of that (lower-case) name, "" if absent.
  std::string_view Header(std::string_view name) const;
};

// The body of one request, read piece by piece.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next piece; empty at the end. A connection that breaks is kCancelled, chunks that are none
  // kInvalidArgument.
  virtual Task<Result<std::string>> Read() = 0;
  // Everything that is left, at most `limit_bytes` (kResourceExhausted beyond, at once if the head
  // says so).
  virtual Task<Result<std::string>> ReadAll(uint64_t limit_bytes) = 0;
};

// Answers one request. Exactly one of Send or StartStream is used.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  // Added to the headers of the answer, before Send or StartStream.
  virtual void SetHeader(std::string name, std::string value) = 0;
  // A whole answer. For HEAD requests only the headers go out.
  virtual Task<void> Send(int status, std::string_view content_type, std::string body) = 0;
  // A chunked answer: the head now, then pieces, each flushed; Finish ends it.
  virtual Task<void> StartStream(int status, std::string_view content_type) = 0;
  // False when the client is gone: stop the work then.
  virtual Task<bool> Write(std::string piece) = 0;
  virtual Task<void> Finish() = 0;
  virtual bool started() const = 0;
  // Has the client closed the connection? Known without writing: the server watches the socket
  // while a handler runs. Any thread.
  virtual bool client_gone() const = 0;
  // Called on an I/O thread once, when the client goes away while the handler runs; null removes
  // it.
  virtual void OnClientGone(std::function<void()> callback) = 0;
};

// Wakes one coroutine from any thread.
class Notifier {
 public:
  explicit Notifier(boost::asio::any_io_executor executor);
  ~Notifier();
  // Thread safe; what comes while nobody waits is kept (once).
  void Notify();
  // Returns after a Notify, or after `timeout` (false).
  Task<bool> Wait(std::chrono::nanoseconds timeout);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

using Handler = std::function<Task<void>(const Request&, BodyReader&, ResponseWriter&)>;

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 11434;  // 0: any free one
  // A socket that listens at that address already, made by another process; it becomes the
  // server's.
  int listening_descriptor = -1;
  // PEM files; where both are given the server speaks HTTPS, TLS 1.2 or newer.
  std::filesystem::path tls_cert_file, tls_key_file;
  int io_threads = 2;
  uint64_t max_header_bytes = 64 << 10;
  // Fewer where the process may not have so many descriptors. Beyond them a connection is
  // closed that is answered and sends on, or whose body hardly comes, or the one that has waited
  // longest for a request, or, if all have one, the new one is refused (503).
  int64_t max_connections = 4096;
  std::chrono::milliseconds idle_timeout{
      300'000};                                // between requests, and before the first; 0: none
  std::chrono::seconds header_timeout{30};     // for the head of a request, from its first byte on
  std::chrono::seconds body_timeout{60};       // without any byte of a body
  std::chrono::milliseconds body_lag{10'000};  // behind 1 kB/s: it hardly comes
  std::chrono::milliseconds rest_timeout{5'000};  // for what is left of a body when it is answered
  std::chrono::seconds write_timeout{60};         // without any byte of an answer read
};

// Thread safe.
class Server {
 public:
  // Listens, then accepts on its own threads. An address in use is kUnavailable and says so; a
  // certificate or key that cannot be used is kInvalidArgument.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, Handler handler);
  ~Server();
  uint16_t port() const;
  // Closes idle connections; requests that are being answered may go on until `deadline`. Until
  // they have ended, others are taken, which the handler may refuse, and each is the last one of
  // its connection; then nothing is accepted any more, and what is left of those has two seconds at
  // most. False, with nothing closed, if `deadline` comes first. May be called again.
  bool Drain(std::chrono::steady_clock::time_point deadline);
  // Stops accepting and closes all connections, whatever is being answered.
  void CloseAll();
  boost::asio::any_io_executor executor();

 private:
  struct State;
  explicit Server(std::shared_ptr<State> state);
  void StopAccepting();
  std::shared_ptr<State> state_;
};

}  // namespace puna::http

#endif  // PUNA_HTTP_SERVER_H_
