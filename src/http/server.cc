// Connections are coroutines on a strand each, run by a few threads: no locks inside a connection,
// and a slow client costs a few kilobytes instead of a thread. While a handler computes, the
// beginning of the next request is read already: the only way to learn that a client hung up before
// the next write would tell (seconds later, or never for an answer that is sent whole).
//
// Rejected: a thread per connection (hundreds of streaming clients), and Beast's own timeout for
// everything (it cannot tell "waits for the next request" from "computes").
#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "http/byte_stream.h"
#include "http/close_on_exec.h"
#include "http/request_head.h"

namespace puna::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr size_t kBodyPieceBytes = 256 << 10;
// What has come and is not read yet: a piece of a body, a head, or the head of a chunk, which could
// be without end.
constexpr size_t kMostBufferedBytes = 1 << 20;
constexpr size_t kFirstReadBytes = 4 << 10;
constexpr int kMostUnsentBytes = 128 << 10;  // in the buffer of a socket
// For connections to end by themselves, when nothing is computed any more.
constexpr std::chrono::seconds kFarewell{2};
// A connection that waits for less long is probably a new one, whose request comes at once.
constexpr std::chrono::milliseconds kOnItsWay{100};
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

class Connection;

// A body that comes slower than this makes room for other connections. Ticks of the steady clock.
constexpr int64_t kTicksPerBodyByte = std::chrono::steady_clock::duration::period::den / 1000;
// kChosen: to make room for another connection, unless a request comes first.
constexpr int64_t kBusy = INT64_MAX, kChosen = kBusy - 1;
// Before every other time: of a connection that has only its end before it.
constexpr int64_t kEnding = INT64_MIN;
int64_t Now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// What all connections of a server share.
struct Shared {
  ServerOptions options;
  std::unique_ptr<TlsContext> tls;  // null: plain HTTP
  Handler handler;
  std::mutex mutex;
  std::condition_variable changed;  // what a drain waits for
  std::map<Connection*, std::weak_ptr<Connection>> connections;
  std::atomic<bool> draining{false};
  int64_t awaited_requests = 0;  // being answered, since before the drain
  bool may_accept = true;
  bool acceptor_is_open = true;

  // Whether there may be one more. Where there are as many as there may be, one whose body hardly
  // comes goes, or the one that has waited longest for a request: it costs its client a new
  // connection, and whoever holds many idle ones shuts nobody out. False if all have a request.
  bool MakeRoom();
  // The connection with the least of a time, now chosen; null if none is before `limit`.
  std::shared_ptr<Connection> Choose(std::atomic<int64_t>& (Connection::*time)(), int64_t limit);
  void CloseAllConnections();
  void CloseIdleConnections(SteadyTime::duration least);
  template <typename Function>
  void PostToAll(Function function);
};

// A request, while it is answered.
class AnsweredRequest {
 public:
  explicit AnsweredRequest(Shared* shared) : shared_(shared) {
    const std::lock_guard lock(shared_->mutex);
    awaited_ = !shared_->draining;
    if (awaited_) ++shared_->awaited_requests;
  }
  ~AnsweredRequest() {
    const std::lock_guard lock(shared_->mutex);
    if (awaited_ && --shared_->awaited_requests == 0) shared_->changed.notify_all();
  }
  AnsweredRequest(const AnsweredRequest&) = delete;
  AnsweredRequest& operator=(const AnsweredRequest&) = delete;

 private:
  Shared* shared_;
  bool awaited_;
};

// One client connection: reads requests one after another and has the handler answer them.
class Connection : public BodyReader,
                   public ResponseWriter,
                   public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<Shared> shared)
      : stream_(std::move(socket), shared->tls.get()),
        shared_(std::move(shared)),
        strand_(stream_.get_executor()),
        watch_ended_(strand_, SteadyTime::max()) {}

  ~Connection() override {
    const std::lock_guard lock(shared_->mutex);
    shared_->connections.erase(this);
    if (shared_->connections.empty()) shared_->changed.notify_all();
  }

  Task<void> Serve();
  // On the strand: closes the connection if it waits for a request, or in any case if `now`.
  void Close(bool now) {
    if (now || waiting_since_ != kBusy) CloseSocket();
  }
  // On the strand: closes the connection if it has waited so long for a request, of which nothing
  // has come.
  void CloseIfIdle(SteadyTime::duration least) {
    error_code ignored;
    if (idle_ && waiting_since_ <= Now() - least.count() &&
        stream_.tcp().socket().available(ignored) == 0)
      CloseSocket();
  }
  // Since when nothing has come, in the ticks of the steady clock, or kChosen; kBusy: a request is
  // being answered. Any thread.
  std::atomic<int64_t>& waiting_since() { return waiting_since_; }
  // While a body is read: when what has come of it was to be there at the least rate. kEnding: the
  // last request is answered. Else kBusy.
  std::atomic<int64_t>& body_due() { return body_due_; }
  asio::any_io_executor executor() { return strand_; }

  // BodyReader
  Task<Result<std::string>> Read() override;
  Task<Result<std::string>> ReadAll(uint64_t limit_bytes) override;

  // ResponseWriter
  void SetHeader(std::string name, std::string value) override {
    headers_.emplace_back(std::move(name), std::move(value));
  }
  Task<void> Send(int status, std::string_view content_type, std::string body) override;
  Task<void> StartStream(int status, std::string_view content_type) override;
  Task<bool> Write(std::string piece) override;
  Task<void> Finish() override;
  bool started() const override { return started_; }
  bool client_gone() const override { return client_gone_; }
  void OnClientGone(std::function<void()> callback) override {
    on_gone_ = std::move(callback);
    if (client_gone_ && on_gone_) on_gone_();
  }

 private:
  using Parser = bhttp::request_parser<bhttp::buffer_body>;

  Task<bool> AwaitRequest();
  Task<bool> ReadHead();
  Task<void> RefuseHead(int status, std::string_view why);
  Task<void> Answer();
  Task<void> SendContinueIfAsked();
  Task<void> DiscardRest();
  void CloseSocket() {
    error_code ignored;
    stream_.tcp().socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.tcp().socket().close(ignored);
  }
  void ClientIsGone() {
    if (client_gone_) return;
    client_gone_ = true;
    if (on_gone_) on_gone_();
  }
  void WatchForHangUp();
  Task<void> StopWatching();
  template <typename Buffers>
  Task<error_code> WriteAll(Buffers buffers);
  template <typename Response>
  void FillHead(Response* response, int status, std::string_view content_type);

  ByteStream stream_;
  std::shared_ptr<Shared> shared_;
  asio::any_io_executor strand_;
  beast::flat_buffer buffer_{kMostBufferedBytes};
  std::optional<Parser> parser_;
  Request request_;
  std::vector<std::pair<std::string, std::string>> headers_;  // of the answer
  std::function<void()> on_gone_;
  std::atomic<int64_t> waiting_since_{Now()}, body_due_{kBusy};
  // Ticks by which the body is behind, without the time that nobody read it.
  int64_t body_lag_ = 0;
  bool idle_ = true;       // waits for the first byte of a request
  bool started_ = false;   // the answer has begun
  bool finished_ = false;  // the answer is complete
  bool chunked_ = false;
  bool keep_alive_ = true;
  bool refused_ = false;   // what came is no request
  bool watching_ = false;  // a read waits for what comes behind the request
  asio::cancellation_signal stop_watching_;
  asio::steady_timer watch_ended_;
  std::atomic<bool> client_gone_ = false;
};

std::shared_ptr<Connection> Shared::Choose(std::atomic<int64_t>& (Connection::*time)(),
                                           int64_t limit) {
  const auto found = std::min_element(
      connections.begin(), connections.end(),
      [time](auto& a, auto& b) { return (a.first->*time)() < (b.first->*time)(); });
  // Nobody finds it twice.
  int64_t least = (found->first->*time)();
  if (least >= limit || !(found->first->*time)().compare_exchange_strong(least, kChosen))
    return nullptr;
  return found->second.lock();
}

bool Shared::MakeRoom() {
  std::shared_ptr<Connection> slow, idle;
  {
    const std::lock_guard lock(mutex);
    if (static_cast<int64_t>(connections.size()) < options.max_connections) return true;
    const SteadyTime::duration lag = options.body_lag;
    slow = Choose(&Connection::body_due, Now() - lag.count());
    if (slow == nullptr) idle = Choose(&Connection::waiting_since, kChosen);
  }
  const auto chosen = slow ? slow : idle;
  if (chosen == nullptr) return false;
  asio::post(chosen->executor(), [chosen, now = slow != nullptr] { chosen->Close(now); });
  return true;
}

template <typename Function>
void Shared::PostToAll(Function function) {
  // The last reference to a connection must not die under the lock, which its destructor takes.
  std::vector<std::shared_ptr<Connection>> open;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [pointer, weak] : connections) open.push_back(weak.lock());
  }
  for (const auto& connection : open) {
    if (connection) asio::post(connection->executor(), [=] { function(*connection); });
  }
}

void Shared::CloseAllConnections() {
  PostToAll([](Connection& connection) { connection.Close(/*now=*/true); });
}

void Shared::CloseIdleConnections(SteadyTime::duration least) {
  PostToAll([least](Connection& connection) { connection.CloseIfIdle(least); });
}

Task<void> Connection::Serve() {
  const auto self = shared_from_this();
  stream_.tcp().expires_after(shared_->options.header_timeout);
  const bool ready = co_await stream_.Handshake();
  stream_.tcp().expires_never();
  while (ready && co_await ReadHead()) {
    {
      const AnsweredRequest request(shared_.get());
      co_await Answer();
    }
    if (!keep_alive_ || !finished_ || client_gone_ || shared_->draining) break;
    // What a handler left unread of the body would be taken for the next request.
    if (!parser_->is_done()) break;
  }
  body_due_ = kEnding;
  stream_.tcp().expires_after(std::chrono::seconds(1));
  if (ready && !client_gone_) co_await stream_.Shutdown();
  if (finished_ && !client_gone_ && (refused_ || !parser_->is_done())) co_await DiscardRest();
  CloseSocket();
}

// Behind an answer to a request whose body was not read: a client that is still sending would see a
// broken connection instead of it. One that does not come to an end in time sees just that.
Task<void> Connection::DiscardRest() {
  constexpr uint64_t kMostBytes = uint64_t{512} << 20;
  error_code ignored;
  stream_.tcp().socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::string piece(kBodyPieceBytes, '\0');
  stream_.tcp().expires_after(shared_->options.rest_timeout);  // for all of it
  for (uint64_t discarded = 0; discarded < kMostBytes;) {
    const auto [error, bytes] =
        co_await stream_.tcp().async_read_some(asio::buffer(piece), kNoThrow);
    if (error) co_return;
    discarded += bytes;
  }
}

// Waits for the first bytes of a request. False if the connection ends instead.
Task<bool> Connection::AwaitRequest() {
  if (buffer_.size() > 0) co_return true;
  stream_.tcp().expires_never();
  if (shared_->options.idle_timeout.count() > 0)
    stream_.tcp().expires_after(shared_->options.idle_timeout);
  const auto room = buffer_.prepare(kFirstReadBytes);
  idle_ = true;
  const auto [error, bytes] = co_await stream_.async_read_some(room, kNoThrow);
  idle_ = false;
  buffer_.commit(bytes);
  co_return !error;
}

Task<bool> Connection::ReadHead() {
  waiting_since_ = Now();
  if (!co_await AwaitRequest()) co_return false;
  waiting_since_ = Now();
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(shared_->options.max_header_bytes));
  parser_->body_limit(boost::none);
  stream_.tcp().expires_after(shared_->options.header_timeout);
  const auto [error, bytes] =
      co_await bhttp::async_read_header(stream_, buffer_, *parser_, kNoThrow);
  waiting_since_ = kBusy;
  body_lag_ = 0;
  stream_.tcp().expires_never();
  headers_.clear();
  on_gone_ = nullptr;
  started_ = finished_ = chunked_ = false;
  client_gone_ = false;
  if (error) {
    const bool ours =
        error.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
        error != bhttp::error::end_of_stream && error != bhttp::error::partial_message;
    if (ours) {
      co_await RefuseHead(error == bhttp::error::header_limit ? 431 : 400, error.message());
    }
    co_return false;
  }
  const auto& head = parser_->get();
  request_ = Request{};
  request_.method = std::string(head.method_string());
  request_.target = std::string(head.target());
  for (const auto& field : head) {
    request_.headers.emplace_back(LowerCase(field.name_string()), std::string(field.value()));
  }
  if (const int status = StatusOfCoding(request_, head.version()); status != 0) {
    co_await RefuseHead(status, "unsupported Transfer-Encoding");
    co_return false;
  }
  if (!NamesOneHost(request_, head.version())) {
    co_await RefuseHead(400, "a request names its host, once");
    co_return false;
  }
  ReadTarget(&request_);
  error_code ignored;
  request_.peer_address = stream_.tcp().socket().remote_endpoint(ignored).address().to_string();
  keep_alive_ = head.keep_alive();
  if (parser_->is_done()) WatchForHangUp();
  co_return true;
}

// What follows could not be told from its body.
Task<void> Connection::RefuseHead(int status, std::string_view why) {
  keep_alive_ = false;
  refused_ = true;
  co_await Send(status, "text/plain", fmt::format("{} {}", status, why));
}

Task<void> Connection::Answer() {
  bool failed = false;
  try {
    co_await shared_->handler(request_, *this, *this);
  } catch (const std::exception& exception) {
    LogError("{} {}: {}", request_.method, request_.path, exception.what());
    failed = true;
  }
  on_gone_ = nullptr;
  if (!started_ && !client_gone_) {
    co_await Send(failed ? 500 : 404, "text/plain", failed ? "" : "404 page not found");
  }
  co_await StopWatching();
}

// Reads what comes behind the request that is being answered, through TLS, where a goodbye comes as
// bytes like any other. An end or an error is a client that left; data is its next request, which
// stays in the buffer until this one is answered.
void Connection::WatchForHangUp() {
  if (watching_ || buffer_.size() >= kFirstReadBytes) return;
  watching_ = true;
  const auto ended = [self = shared_from_this()](const error_code& error, size_t bytes) {
    self->buffer_.commit(bytes);
    self->watching_ = false;
    self->watch_ended_.cancel();
    if (error && error != asio::error::operation_aborted && !self->finished_) self->ClientIsGone();
  };
  stream_.async_read_some(buffer_.prepare(kFirstReadBytes),
                          asio::bind_cancellation_slot(stop_watching_.slot(), ended));
}

// The next read must wait for this one, which may have got something at the last moment. With TLS
// it may be between two reads of the socket, the first of which brought a part of a record:
// cancelling what the socket does would be too early for the second.
Task<void> Connection::StopWatching() {
  if (!watching_) co_return;
  stop_watching_.emit(asio::cancellation_type::terminal);
  co_await watch_ended_.async_wait(kNoThrow);
}

Task<void> Connection::SendContinueIfAsked() {
  const auto& head = parser_->get();
  if (!beast::iequals(head[bhttp::field::expect], "100-continue")) co_return;
  parser_->get().erase(bhttp::field::expect);
  bhttp::response<bhttp::empty_body> go_on(bhttp::status::continue_, head.version());
  bhttp::response_serializer<bhttp::empty_body> serializer(go_on);
  co_await bhttp::async_write(stream_, serializer, kNoThrow);
}

// What came is no HTTP, other than a connection that breaks off.
bool IsMalformed(const error_code& error) {
  static const auto& kHttpErrors = bhttp::make_error_code(bhttp::error::bad_chunk).category();
  return error && error.category() == kHttpErrors && error != bhttp::error::need_buffer &&
         error != bhttp::error::partial_message && error != bhttp::error::end_of_stream;
}

Task<Result<std::string>> Connection::Read() {
  if (parser_->is_done()) co_return std::string();
  co_await SendContinueIfAsked();
  // As much is read at once as the buffer has room for, which is little after a head.
  const auto left = parser_->content_length_remaining();
  buffer_.reserve(std::min<uint64_t>(left.value_or(kBodyPieceBytes), kBodyPieceBytes));
  std::string piece(kBodyPieceBytes, '\0');
  auto& body = parser_->get().body();
  body.data = piece.data();
  body.size = piece.size();
  body.more = true;
  int64_t due = Now() - body_lag_;
  error_code error;
  while (!error && !parser_->is_done() && body.size > 0) {
    stream_.tcp().expires_after(shared_->options.body_timeout);
    body_due_ = due;
    size_t bytes = 0;
    std::tie(error, bytes) = co_await bhttp::async_read_some(stream_, buffer_, *parser_, kNoThrow);
    body_due_ = kBusy;
    due = std::min(Now(), due + static_cast<int64_t>(bytes) * kTicksPerBodyByte);
  }
  body_lag_ = Now() - due;
  stream_.tcp().expires_never();
  if (IsMalformed(error))
    co_return MakeError(ErrorCode::kInvalidArgument, "request body: {}", error.message());
  if (error && error != bhttp::error::need_buffer) {
    ClientIsGone();
    co_return MakeError(ErrorCode::kCancelled, "request body: {}", error.message());
  }
  piece.resize(piece.size() - body.size);
  if (parser_->is_done()) {
    buffer_.shrink_to_fit();  // the connection may be idle from now on
    WatchForHangUp();
  }
  co_return piece;
}

Task<Result<std::string>> Connection::ReadAll(uint64_t limit_bytes) {
  const auto too_large = [limit_bytes] {
    return MakeError(ErrorCode::kResourceExhausted, "request body is larger than {} bytes",
                     limit_bytes);
  };
  // Told before it comes, and before a client that asks is told to go on.
  if (parser_->content_length_remaining().value_or(0) > limit_bytes) co_return too_large();
  std::string all;
  while (!parser_->is_done()) {
    Result<std::string> piece = co_await Read();
    if (!piece) co_return tl::unexpected(std::move(piece).error());
    if (all.size() + piece->size() > limit_bytes) co_return too_large();
    all += *piece;
  }
  co_return all;
}

template <typename Response>
void Connection::FillHead(Response* response, int status, std::string_view content_type) {
  response->result(static_cast<unsigned>(status));
  response->version(parser_->get().version() == 10 ? 10 : 11);
  if (!content_type.empty()) response->set(bhttp::field::content_type, std::string(content_type));
  for (const auto& [name, value] : headers_) response->insert(name, value);
  // An answer before the end of the request's body: the rest of it must not be read as a request.
  if (!parser_->is_done() || shared_->draining) keep_alive_ = false;
  response->keep_alive(keep_alive_);
}

// A client may read as slowly as it likes, as long as it reads.
template <typename Buffers>
Task<error_code> Connection::WriteAll(Buffers buffers) {
  beast::buffers_suffix<Buffers> rest(buffers);
  error_code error;
  while (!error && beast::buffer_bytes(rest) > 0) {
    stream_.tcp().expires_after(shared_->options.write_timeout);
    size_t bytes = 0;
    std::tie(error, bytes) = co_await stream_.async_write_some(rest, kNoThrow);
    rest.consume(bytes);
  }
  stream_.tcp().expires_never();
  co_return error;
}

Task<void> Connection::Send(int status, std::string_view content_type, std::string body) {
  if (started_) co_return;
  started_ = true;
  bhttp::response<bhttp::string_body> response;
  FillHead(&response, status, content_type);
  const bool has_body = status != 204 && status != 304;
  if (has_body) {
    response.body() = std::move(body);
    response.prepare_payload();
  }
  bhttp::response_serializer<bhttp::string_body> serializer(response);
  const bool head_only = request_.method == "HEAD";
  serializer.split(head_only);
  error_code error;
  while (!error && !(head_only ? serializer.is_header_done() : serializer.is_done())) {
    stream_.tcp().expires_after(shared_->options.write_timeout);
    error = std::get<0>(co_await bhttp::async_write_some(stream_, serializer, kNoThrow));
  }
  stream_.tcp().expires_never();
  if (error) {
    ClientIsGone();
  } else {
    finished_ = true;
  }
}

Task<void> Connection::StartStream(int status, std::string_view content_type) {
  if (started_) co_return;
  started_ = true;
  bhttp::response<bhttp::empty_body> response;
  // Chunks are unknown to HTTP/1.0: there the end of the connection ends the answer.
  chunked_ = parser_->get().version() != 10;
  if (!chunked_) keep_alive_ = false;
  FillHead(&response, status, content_type);
  if (chunked_) response.chunked(true);
  bhttp::response_serializer<bhttp::empty_body> serializer(response);
  stream_.tcp().expires_after(shared_->options.write_timeout);
  const auto [error, bytes] = co_await bhttp::async_write_header(stream_, serializer, kNoThrow);
  stream_.tcp().expires_never();
  if (error) ClientIsGone();
}

Task<bool> Connection::Write(std::string piece) {
  if (client_gone_) co_return false;
  if (piece.empty()) co_return true;
  error_code error;
  if (chunked_) {
    error = co_await WriteAll(bhttp::make_chunk(asio::buffer(piece)));
  } else {
    error = co_await WriteAll(asio::const_buffer(asio::buffer(piece)));
  }
  if (error) ClientIsGone();
  co_return !error;
}

Task<void> Connection::Finish() {
  if (client_gone_ || finished_) co_return;
  if (chunked_) {
    const error_code error = co_await WriteAll(bhttp::make_chunk_last());
    if (error) {
      ClientIsGone();
      co_return;
    }
  }
  finished_ = true;
}

}  // namespace

std::string_view Request::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

struct Server::State {
  explicit State(const ServerOptions& options)
      : context(std::max(1, options.io_threads)), acceptor(asio::make_strand(context)) {}
  asio::io_context context;
  tcp::acceptor acceptor;  // touched on its strand, once it accepts
  uint16_t port = 0;
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  std::vector<std::thread> threads;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
};

namespace {

// Files need descriptors too.
int64_t MostConnections(int64_t wanted) {
  constexpr int64_t kOtherDescriptors = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT32_MAX) return wanted;
  const auto allowed = static_cast<int64_t>(limit.rlim_cur);
  return std::clamp<int64_t>(wanted, 1, std::max(allowed - kOtherDescriptors, allowed / 2));
}

// What fits into the buffer of a new socket is sent at once; where TLS is expected there is only
// the end.
void Refuse(tcp::socket socket, bool tls) {
  static constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
      "Content-Type: text/plain\r\nContent-Length: 24\r\n\r\n503 too many connections";
  error_code ignored;
  if (!tls) socket.write_some(asio::buffer(kAnswer), ignored);
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

void Admit(tcp::socket socket, const std::shared_ptr<Shared>& shared) {
  CloseOnExec(socket.native_handle());
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  // With megabytes in its buffer, a socket can be written to again when a third of them is read,
  // and a slow reader would seem to stand still until then.
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMostUnsentBytes,
               sizeof(kMostUnsentBytes));
  if (!shared->MakeRoom()) return Refuse(std::move(socket), shared->tls != nullptr);
  auto connection = std::make_shared<Connection>(std::move(socket), shared);
  {
    const std::lock_guard lock(shared->mutex);
    // Whoever closes all takes the list of them after it said so, perhaps before this one.
    if (!shared->may_accept) return;
    shared->connections[connection.get()] = connection;
  }
  asio::co_spawn(
      connection->executor(), [connection] { return connection->Serve(); }, asio::detached);
}

// Takes connections until the acceptor is closed. Runs on its strand.
Task<void> AcceptLoop(asio::io_context& context, tcp::acceptor& acceptor,
                      std::shared_ptr<Shared> shared) {
  while (acceptor.is_open()) {
    auto [error, socket] = co_await acceptor.async_accept(asio::make_strand(context), kNoThrow);
    if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
    if (error) {
      // Out of descriptors, most likely: wait for some to be closed instead of spinning.
      asio::steady_timer pause(acceptor.get_executor(), std::chrono::milliseconds(50));
      co_await pause.async_wait(kNoThrow);
      continue;
    }
    try {
      Admit(std::move(socket), shared);
    } catch (const std::exception& exception) {
      LogError("a connection failed: {}", exception.what());
    }
  }
}

// An exception, as of memory that is not there, costs the connection in which it was thrown.
void RunUntilStopped(asio::io_context& context) {
  for (bool stopped = false; !stopped;) {
    try {
      context.run();
      stopped = true;
    } catch (const std::exception& exception) {
      LogError("a connection failed: {}", exception.what());
    }
  }
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Handler handler) {
  auto state = std::make_shared<State>(options);
  state->shared->options = options;
  state->shared->options.max_connections = MostConnections(options.max_connections);
  state->shared->handler = std::move(handler);
  if (options.tls_cert_file.empty() != options.tls_key_file.empty())
    return MakeError(ErrorCode::kInvalidArgument, "TLS needs both a certificate and its key");
  if (!options.tls_cert_file.empty()) {
    PUNA_ASSIGN_OR_RETURN(state->shared->tls, TlsContext::Load(options.tls_cert_file.string(),
                                                               options.tls_key_file.string()));
  }
  error_code error;
  tcp::resolver resolver(state->context);
  const auto endpoints =
      resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || endpoints.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "listen on {}: {}", options.host,
                     error.message());
  }
  const tcp::endpoint endpoint = *endpoints.begin();
  if (options.listening_descriptor >= 0) {
    state->acceptor.assign(endpoint.protocol(), options.listening_descriptor, error);
  } else {
    state->acceptor.open(endpoint.protocol(), error);
    if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) state->acceptor.bind(endpoint, error);
    if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    const ErrorCode code =
        error == asio::error::address_in_use ? ErrorCode::kUnavailable : ErrorCode::kInternal;
    return MakeError(code, "listen tcp {}:{}: {}", options.host, options.port, error.message());
  }
  CloseOnExec(state->acceptor.native_handle());
  state->work.emplace(state->context.get_executor());
  state->port = state->acceptor.local_endpoint(error).port();
  asio::co_spawn(state->acceptor.get_executor(),
                 AcceptLoop(state->context, state->acceptor, state->shared), asio::detached);
  std::unique_ptr<Server> server(new Server(std::move(state)));
  for (int i = 0; i < std::max(1, options.io_threads); ++i) {
    PUNA_ASSIGN_OR_RETURN(
        std::thread thread,
        StartThread("puna-io", [&context = server->state_->context] { RunUntilStopped(context); }));
    server->state_->threads.push_back(std::move(thread));
  }
  return server;
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
  CloseAll();
  state_->work.reset();
  state_->context.stop();
  for (std::thread& thread : state_->threads) thread.join();
}

uint16_t Server::port() const { return state_->port; }

asio::any_io_executor Server::executor() { return state_->context.get_executor(); }

void Server::StopAccepting() {
  const auto shared = state_->shared;
  {
    const std::lock_guard lock(shared->mutex);
    shared->draining = true;
    if (!std::exchange(shared->may_accept, false)) return;
  }
  // What was not run any more dies with the context, so it must not keep the context alive.
  asio::post(state_->acceptor.get_executor(), [shared, acceptor = &state_->acceptor] {
    error_code ignored;
    acceptor->close(ignored);
    const std::lock_guard lock(shared->mutex);
    shared->acceptor_is_open = false;
    shared->changed.notify_all();
  });
}

bool Server::Drain(SteadyTime deadline) {
  const auto shared = state_->shared;
  {
    const std::lock_guard lock(shared->mutex);
    shared->draining = true;
  }
  for (bool ended = false; !ended;) {
    shared->CloseIdleConnections(kOnItsWay);
    std::unique_lock lock(shared->mutex);
    const SteadyTime next = std::min(deadline, std::chrono::steady_clock::now() + kOnItsWay);
    ended = shared->changed.wait_until(lock, next, [&] { return shared->awaited_requests == 0; });
    if (!ended && next == deadline) return false;
  }
  StopAccepting();
  shared->CloseIdleConnections({});
  std::unique_lock lock(shared->mutex);
  shared->changed.wait_until(
      lock, std::min(deadline, std::chrono::steady_clock::now() + kFarewell),
      [&] { return !shared->acceptor_is_open && shared->connections.empty(); });
  return true;
}

void Server::CloseAll() {
  StopAccepting();
  const auto shared = state_->shared;
  shared->CloseAllConnections();
  std::unique_lock lock(shared->mutex);
  shared->changed.wait_until(lock, std::chrono::steady_clock::now() + kFarewell,
                             [&] { return shared->connections.empty(); });
}

}  // namespace puna::http
