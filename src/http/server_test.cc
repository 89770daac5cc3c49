#include "http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <new>
#include <thread>

#include "http/client.h"
#include "tests/support/no_threads.h"
#include "tests/support/shared_data.h"

namespace puna::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<Server> StartServer(Handler handler, ServerOptions options = {}) {
  options.port = 0;
  auto server = Server::Start(options, std::move(handler));
  EXPECT_TRUE(server) << server.error().message;
  return *std::move(server);
}

std::string Url(const Server& server, const std::string& path) {
  return fmt::format("http://127.0.0.1:{}{}", server.port(), path);
}

// A socket that says exactly what a test wants it to say.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    const timeval timeout = {10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  }
  ~RawClient() { Close(); }
  void Close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  bool Sends(std::string_view text) {
    const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(text.size());
  }
  void Say(std::string_view text) { EXPECT_TRUE(Sends(text)); }
  // Reads so many bytes, fewer at the end.
  std::string Hear(size_t bytes) {
    std::string heard(bytes, '\0');
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < bytes;
         size += static_cast<size_t>(std::max<ssize_t>(0, got)))
      got = ::recv(socket_, heard.data() + size, bytes - size, 0);
    heard.resize(size);
    return heard;
  }
  // What has come, or comes next; empty at the end of the connection.
  std::string HearSome() {
    char buffer[4096];
    const ssize_t got = ::recv(socket_, buffer, sizeof(buffer), 0);
    return {buffer, static_cast<size_t>(std::max<ssize_t>(0, got))};
  }
  // Reads until `end` has come, or the connection ends.
  std::string HearUntil(std::string_view end) {
    std::string heard;
    while (heard.find(end) == std::string::npos) {
      const std::string some = HearSome();
      if (some.empty()) break;
      heard += some;
    }
    return heard;
  }

 private:
  int socket_;
};

// The same through TLS, with its records in the test's hands.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port)
      : raw_(port), context_(SSL_CTX_new(TLS_client_method())), tls_(SSL_new(context_)) {
    SSL_set_bio(tls_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(tls_);
    bool open = true;
    while (open && SSL_do_handshake(tls_) != 1) {
      raw_.Say(Written());
      open = Take();
    }
    raw_.Say(Written());
    EXPECT_TRUE(open);
  }
  ~TlsClient() {
    SSL_free(tls_);
    SSL_CTX_free(context_);
  }
  // The record that says `text`; it is not sent.
  std::string Record(std::string_view text) {
    SSL_write(tls_, text.data(), static_cast<int>(text.size()));
    return Written();
  }
  RawClient& raw() { return raw_; }
  std::string HearUntil(std::string_view end) {
    std::string heard;
    char buffer[4096];
    while (heard.find(end) == std::string::npos) {
      const int got = SSL_read(tls_, buffer, sizeof(buffer));
      if (got > 0) heard.append(buffer, static_cast<size_t>(got));
      if (got <= 0 && !Take()) break;
    }
    return heard;
  }

 private:
  std::string Written() {
    std::string bytes(BIO_ctrl_pending(SSL_get_wbio(tls_)), '\0');
    BIO_read(SSL_get_wbio(tls_), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  bool Take() {
    const std::string some = raw_.HearSome();
    BIO_write(SSL_get_rbio(tls_), some.data(), static_cast<int>(some.size()));
    return !some.empty();
  }

  RawClient raw_;
  SSL_CTX* context_;
  SSL* tls_;
};

// A certificate, signed by itself, and its key, in two files.
void WriteCertificate(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  EVP_PKEY* pair = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(x509), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, pair);
  X509_sign(x509, pair, EVP_sha256());
  FILE* file = std::fopen(certificate.c_str(), "w");
  EXPECT_EQ(PEM_write_X509(file, x509), 1);
  std::fclose(file);
  file = std::fopen(key.c_str(), "w");
  EXPECT_EQ(PEM_write_PrivateKey(file, pair, nullptr, nullptr, 0, nullptr, nullptr), 1);
  std::fclose(file);
  X509_free(x509);
  EVP_PKEY_free(pair);
}

Task<void> Echo(const Request& request, BodyReader& body, ResponseWriter& writer) {
  Result<std::string> all = co_await body.ReadAll(1 << 20);
  if (!all) {
    co_await writer.Send(413, "text/plain", all.error().message);
    co_return;
  }
  writer.SetHeader("x-echo", request.method);
  co_await writer.Send(200, "text/plain", request.path + "|" + *all);
}

TEST(HttpServer, AnswersWholeRequests) {
  const auto server = StartServer(Echo);
  const auto answer = Fetch({.method = "POST", .url = Url(*server, "/a%20b?q=1"), .body = "hello"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(200, answer->status);
  EXPECT_EQ("/a b|hello", answer->body);
}

TEST(HttpServer, LargeBodiesAndTheirLimit) {
  const auto server = StartServer(Echo);
  const std::string large(1 << 20, 'x');
  auto answer = Fetch({.method = "POST", .url = Url(*server, "/"), .body = large});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ("/|" + large, answer->body);
  answer = Fetch({.method = "POST", .url = Url(*server, "/"), .body = large + "y"});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(413, answer->status);
}

// Neither waits for the body nor asks for it.
TEST(HttpServer, DeclaredLengthsBeyondTheLimitAreAnsweredAtOnce) {
  const auto server = StartServer(Echo);
  for (const char* more : {"", "Expect: 100-continue\r\n"}) {
    RawClient client(server->port());
    client.Say(std::string("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n") +
               more + "\r\n");
    EXPECT_EQ("HTTP/1.1 413", client.HearUntil("larger than").substr(0, 12)) << more;
  }
}

TEST(HttpServer, HeadHasNoBody) {
  const auto server = StartServer(Echo);
  const auto answer = Fetch({.method = "HEAD", .url = Url(*server, "/x")});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(200, answer->status);
  EXPECT_EQ("", answer->body);
}

TEST(HttpServer, KeepsConnectionsAndAnswersPipelinedRequests) {
  const auto server = StartServer(Echo);
  RawClient client(server->port());
  client.Say(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string heard = client.HearUntil("/2|");
  EXPECT_THAT(heard, HasSubstr("/1|"));
  EXPECT_THAT(heard, HasSubstr("/2|"));
}

TEST(HttpServer, ChunkedRequestBody) {
  const auto server = StartServer(Echo);
  RawClient client(server->port());
  client.Say(
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(client.HearUntil("/c|abcde"), HasSubstr("/c|abcde"));
}

TEST(HttpServer, MalformedChunksAreNoBrokenConnection) {
  const auto server =
      StartServer([](const Request&, BodyReader& body, ResponseWriter& writer) -> Task<void> {
        const Result<std::string> all = co_await body.ReadAll(1 << 20);
        const bool malformed = !all && all.error().code == ErrorCode::kInvalidArgument;
        co_await writer.Send(malformed ? 400 : 200, "text/plain", "told");
      });
  const std::string bad[] = {"zz\r\n", "1x\r\na\r\n0\r\n\r\n",
                             "1;" + std::string(4'000'000, 'a') + "\r\nx\r\n0\r\n\r\n"};
  for (const std::string& chunks : bad) {
    RawClient client(server->port());
    client.Say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
    EXPECT_EQ("HTTP/1.1 400", client.HearUntil("told").substr(0, 12)) << chunks.substr(0, 20);
  }
}

TEST(HttpServer, MalformedHeadIs400AndOversizedIs431) {
  ServerOptions options;
  options.max_header_bytes = 2000;
  const auto server = StartServer(Echo, options);
  RawClient garbage(server->port());
  garbage.Say("what is this\r\n\r\n");
  EXPECT_THAT(garbage.HearUntil("\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  RawClient oversized(server->port());
  oversized.Say("GET / HTTP/1.1\r\nx: " + std::string(3000, 'y') + "\r\n\r\n");
  EXPECT_THAT(oversized.HearUntil("\r\n\r\n"), StartsWith("HTTP/1.1 431"));
}

TEST(HttpServer, ARequestNamesOneHost) {
  const auto server = StartServer(Echo);
  const std::pair<const char*, const char*> cases[] = {{"1.1", "400"},
                                                       {"1.1\r\nHost: a\r\nhost: a", "400"},
                                                       {"1.0\r\nHost: a\r\nHost: b", "400"},
                                                       {"1.0", "200"},
                                                       {"1.1\r\nHost:", "200"}};
  for (const auto& [version, status] : cases) {
    for (const char* target : {"/x", "http://b/x"}) {
      RawClient client(server->port());
      client.Say(fmt::format("GET {} HTTP/{}\r\nConnection: close\r\n\r\n", target, version));
      EXPECT_EQ(client.HearUntil("the end of the connection").substr(9, 3), status)
          << target << " " << version;
    }
  }
}

// Nobody knows where such a body ends: what is in it must not be taken for a request.
TEST(HttpServer, OtherTransferCodingsAreRefused) {
  const auto server = StartServer(Echo);
  const std::pair<const char*, const char*> cases[] = {
      {"1.1\r\nTransfer-Encoding: gzip", "400"},
      {"1.1\r\nTransfer-Encoding: xchunked", "400"},
      {"1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 3", "400"},
      {"1.1\r\nTransfer-Encoding: chunked, identity", "400"},
      {"1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity", "400"},
      {"1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3", "400"},
      {"1.0\r\nTransfer-Encoding: chunked", "400"},
      {"1.1\r\nTransfer-Encoding: gzip, chunked", "501"},
      {"1.1\r\nTransfer-Encoding: Chunked", "200"}};
  for (const auto& [version, status] : cases) {
    RawClient client(server->port());
    client.Say(std::string("POST / HTTP/") + version + "\r\nHost: x\r\nConnection: close\r\n\r\n" +
               "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string heard = client.HearUntil("the end of the connection");
    EXPECT_EQ(heard.substr(9, 3), status) << version;
    EXPECT_EQ(heard.find("smuggled"), std::string::npos) << version;
  }
}

TEST(HttpServer, TargetsMayNameTheHost) {
  const auto server =
      StartServer([](const Request& request, BodyReader&, ResponseWriter& writer) -> Task<void> {
        std::string said = fmt::format("{} of {}.", request.path, request.Header("host"));
        co_await writer.Send(200, "text/plain", std::move(said));
      });
  const std::pair<const char*, const char*> cases[] = {{"http://a.b:80/c%20d?e", "/c d of a.b:80."},
                                                       {"HTTPS://a", "/ of a."},
                                                       {"http://a?/b", "/ of a."},
                                                       {"/http://a", "/http://a of x."}};
  for (const auto& [target, said] : cases) {
    RawClient client(server->port());
    client.Say(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target));
    EXPECT_THAT(client.HearUntil("the end of the connection"), HasSubstr(said));
  }
}

TEST(HttpServer, ASlowReaderGetsAllOfALargeAnswer) {
  constexpr size_t kBytes = 12'000'000;
  const auto server = StartServer(
      [](const Request& request, BodyReader&, ResponseWriter& writer) -> Task<void> {
        if (request.path == "/whole") {
          co_await writer.Send(200, "text/plain", std::string(kBytes, 'x'));
          co_return;
        }
        co_await writer.StartStream(200, "text/plain");
        co_await writer.Write(std::string(kBytes, 'x'));
        co_await writer.Finish();
      },
      {.write_timeout = seconds(1)});
  for (const char* path : {"/whole", "/stream"}) {
    RawClient client(server->port());
    client.Say(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path));
    size_t heard = 0;
    for (size_t got = 1; got > 0; heard += got) {
      got = client.Hear(400'000).size();
      std::this_thread::sleep_for(milliseconds(100));
    }
    EXPECT_GE(heard, kBytes) << path;
  }
}

TEST(HttpServer, StreamsPieceByPiece) {
  const auto server =
      StartServer([](const Request&, BodyReader&, ResponseWriter& writer) -> Task<void> {
        co_await writer.StartStream(200, "application/x-ndjson");
        for (int i = 0; i < 3; ++i) co_await writer.Write(fmt::format("{{\"n\":{}}}\n", i));
        co_await writer.Finish();
      });
  std::vector<std::string> lines;
  LineSplitter splitter([&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  });
  const auto answer = Fetch({.url = Url(*server, "/"), .on_data = [&](std::string_view piece) {
                               return splitter.Push(piece);
                             }});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(lines, ::testing::ElementsAre("{\"n\":0}", "{\"n\":1}", "{\"n\":2}"));
}

// What waits for a request may wait for long, what has begun one may not.
TEST(HttpServer, IdleConnectionsStayLongerThanHalfARequest) {
  const auto server = StartServer(
      [](const Request&, BodyReader&, ResponseWriter& out) -> Task<void> {
        co_await out.Send(200, "text/plain", "ok");
      },
      {.idle_timeout = std::chrono::minutes(1), .header_timeout = seconds(1)});
  RawClient idle(server->port()), used(server->port()), half(server->port());
  used.Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(used.HearUntil("ok"), StartsWith("HTTP/1.1 200"));
  half.Say("GET / HT");
  EXPECT_EQ(half.HearUntil("\n"), "");  // the end of the connection
  for (RawClient* client : {&idle, &used}) {
    client->Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(client->HearUntil("ok"), StartsWith("HTTP/1.1 200"));
  }
}

TEST(HttpServer, AnExceptionBesideARequestStopsNoThread) {
  const auto server = StartServer(Echo, {.io_threads = 1});
  boost::asio::post(server->executor(), [] { throw std::bad_alloc(); });
  const auto answer = Fetch({.url = Url(*server, "/x")});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(200, answer->status);
}

TEST(HttpServer, WhoWaitsLongestMakesRoomForOthers) {
  const auto server = StartServer(Echo, {.max_connections = 3});
  RawClient silent(server->port()), first(server->port()), second(server->port());
  const auto is_answered = [](RawClient& client) {
    client.Say("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    return client.HearUntil("/x|").starts_with("HTTP/1.1 200");
  };
  EXPECT_TRUE(is_answered(first));
  EXPECT_TRUE(is_answered(second));
  RawClient next(server->port());
  EXPECT_TRUE(is_answered(next));
  EXPECT_EQ(silent.HearUntil("anything"), "") << "not closed";
  for (RawClient* client : {&first, &second, &next}) EXPECT_TRUE(is_answered(*client));
}

TEST(HttpServer, WithNothingButRequestsNewConnectionsAreRefused) {
  std::atomic<int> running = 0;
  std::atomic<bool> release = false;
  const auto hold = [&](const Request& request, BodyReader& body,
                        ResponseWriter& writer) -> Task<void> {
    ++running;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (!release) {
      timer.expires_after(milliseconds(1));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await Echo(request, body, writer);
  };
  const auto server = StartServer(hold, {.max_connections = 2});
  RawClient first(server->port()), second(server->port());
  for (RawClient* client : {&first, &second}) client->Say("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
  while (running < 2) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_THAT(RawClient(server->port()).HearUntil("too many connections"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Retry-After")));
  release = true;
  for (RawClient* client : {&first, &second})
    EXPECT_THAT(client->HearUntil("/x|"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, ASlowBodyArrives) {
  const auto server = StartServer(Echo, {.body_timeout = std::chrono::seconds(1)});
  RawClient client(server->port());
  client.Say("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
  for (const char* byte : {"a", "b", "c", "d", "e", "f"}) {
    std::this_thread::sleep_for(milliseconds(300));
    client.Say(byte);
  }
  EXPECT_THAT(client.HearUntil("abcdef"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, WhoseBodyHardlyComesMakesRoomForOthers) {
  const auto server =
      StartServer(Echo, {.max_connections = 2, .body_lag = std::chrono::milliseconds(300)});
  RawClient slow(server->port()), steady(server->port());
  for (RawClient* client : {&slow, &steady})
    client->Say("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    slow.Say("s");
    steady.Say(std::string(1000, 't'));
    std::this_thread::sleep_for(milliseconds(100));
  }
  RawClient next(server->port());
  next.Say("GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(next.HearUntil("/next|"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(slow.HearUntil("anything"), "") << "not closed";
  steady.Say(std::string(10000, 't'));
  EXPECT_THAT(steady.HearUntil("tttt"), StartsWith("HTTP/1.1 200"));
}

Task<void> Refuse(const Request&, BodyReader&, ResponseWriter& writer) {
  co_await writer.Send(401, "text/plain", "refused");
}

TEST(HttpServer, WhoSendsOnBehindARefusalMakesRoomForOthers) {
  const auto server = StartServer(Refuse, {.max_connections = 2, .rest_timeout = seconds(60)});
  RawClient first(server->port()), second(server->port());
  for (RawClient* client : {&first, &second}) {
    client->Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
    EXPECT_THAT(client->HearUntil("refused"), StartsWith("HTTP/1.1 401"));
    client->Say("x");
  }
  std::vector<std::unique_ptr<RawClient>> next;
  for (int i = 0; i < 2; ++i) {
    next.push_back(std::make_unique<RawClient>(server->port()));
    next.back()->Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(next.back()->HearUntil("refused"), StartsWith("HTTP/1.1 401"));
  }
}

TEST(HttpServer, WhoSendsOnBehindARefusalHasItsTime) {
  const auto server = StartServer(Refuse, {.rest_timeout = milliseconds(500)});
  RawClient client(server->port());
  client.Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
  EXPECT_THAT(client.HearUntil("the end of the connection"), HasSubstr("refused"));
  const auto start = steady_clock::now();
  while (client.Sends("x") && steady_clock::now() - start < seconds(10))
    std::this_thread::sleep_for(milliseconds(50));
  EXPECT_LT(steady_clock::now() - start, seconds(5)) << "not closed";
}

TEST(HttpServer, ABodyThatNobodyReadIsNotLate) {
  std::atomic<bool> reads_on = false;
  const auto pause = [&](const Request&, BodyReader& body, ResponseWriter& writer) -> Task<void> {
    (void)co_await body.Read();
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, milliseconds(900));
    co_await timer.async_wait(boost::asio::use_awaitable);
    reads_on = true;
    const auto rest = co_await body.ReadAll(1 << 20);
    std::string said = rest ? "all of it" : rest.error().message;
    co_await writer.Send(200, "text/plain", std::move(said));
  };
  const auto server =
      StartServer(pause, {.max_connections = 1, .body_lag = std::chrono::milliseconds(800)});
  RawClient client(server->port());
  // All but one byte, which is what is read at once: so the second read waits.
  client.Say("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 262145\r\n\r\n");
  client.Say(std::string(262144, 't'));
  while (!reads_on) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_THAT(RawClient(server->port()).HearUntil("too many connections"),
              StartsWith("HTTP/1.1 503 "));
  client.Say("t");
  EXPECT_THAT(client.HearUntil("all of it"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, IdleConnectionsAreClosedInTheEnd) {
  const auto server = StartServer(
      [](const Request&, BodyReader&, ResponseWriter& out) -> Task<void> {
        co_await out.Send(200, "text/plain", "ok");
      },
      {.idle_timeout = std::chrono::milliseconds(50)});
  RawClient client(server->port());
  EXPECT_EQ(client.HearUntil("\n"), "");
}

TEST(HttpServer, Http10ClientsGetNoChunks) {
  const auto server =
      StartServer([](const Request&, BodyReader&, ResponseWriter& writer) -> Task<void> {
        co_await writer.StartStream(200, "text/plain");
        co_await writer.Write("plain");
        co_await writer.Finish();
      });
  RawClient client(server->port());
  client.Say("GET / HTTP/1.0\r\n\r\n");
  const std::string heard = client.HearUntil("never");
  EXPECT_THAT(heard, HasSubstr("\r\n\r\nplain"));
}

TEST(HttpServer, NoticesThatTheClientWentAway) {
  std::promise<void> gone;
  std::promise<void> entered;
  const auto server =
      StartServer([&](const Request&, BodyReader&, ResponseWriter& writer) -> Task<void> {
        Notifier notifier(co_await boost::asio::this_coro::executor);
        writer.OnClientGone([&] { notifier.Notify(); });
        entered.set_value();
        const bool notified = co_await notifier.Wait(seconds(20));
        if (notified && writer.client_gone()) gone.set_value();
      });
  RawClient client(server->port());
  client.Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  entered.get_future().wait();
  client.Close();
  EXPECT_EQ(std::future_status::ready, gone.get_future().wait_for(seconds(10)));
}

// The next request comes, in pieces, while the one before is answered.
TEST(HttpServer, WhatComesWhileARequestIsAnsweredIsTheNextOne) {
  const auto server = StartServer(
      [](const Request& request, BodyReader& body, ResponseWriter& writer) -> Task<void> {
        const auto all = co_await body.ReadAll(1 << 20);
        Notifier notifier(co_await boost::asio::this_coro::executor);
        co_await notifier.Wait(milliseconds(100));
        std::string said = fmt::format("{} of {} bytes.", request.path, all ? all->size() : 0);
        co_await writer.Send(200, "text/plain", std::move(said));
      });
  RawClient client(server->port());
  client.Say("POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n" +
             std::string(6000, 'b'));
  for (int i = 1; i < 5; ++i) {
    client.Say(fmt::format("POST /{} HTT", i));
    std::this_thread::sleep_for(milliseconds(20));
    client.Say("P/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n" + std::string(3000, 'b'));
    EXPECT_THAT(client.HearUntil("bytes."), HasSubstr(fmt::format("/{} of 6000 bytes.", i - 1)));
    client.Say(std::string(3000, 'b'));
  }
  EXPECT_THAT(client.HearUntil("bytes."), HasSubstr("/4 of 6000 bytes."));
}

// The watch for a client that leaves has read a part of a TLS record when the answer ends.
TEST(HttpServer, APartOfARecordBehindARequestIsTheBeginningOfTheNextOne) {
  const ::puna::testing::TemporaryDirectory folder;
  const auto certificate = folder.path() / "certificate", key = folder.path() / "key";
  WriteCertificate(certificate, key);
  // Keeps what the watch has read waiting: one thread runs a connection at a time.
  const auto linger = [](const Request& request, BodyReader&, ResponseWriter& out) -> Task<void> {
    co_await out.Send(200, "text/plain", request.path + " is answered");
    std::this_thread::sleep_for(milliseconds(200));
  };
  const auto server = StartServer(
      linger,
      {.tls_cert_file = certificate, .tls_key_file = key, .idle_timeout = milliseconds(1000)});
  const auto ask = [&](TlsClient& client) {
    client.raw().Say(client.Record("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(client.HearUntil("answered"), HasSubstr("/1 is answered"));
    std::this_thread::sleep_for(milliseconds(50));
    std::string next = client.Record("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    client.raw().Say(next.substr(0, 5));
    return next.substr(5);
  };
  TlsClient whole(server->port()), part(server->port());
  const std::string rest = ask(whole);
  std::this_thread::sleep_for(milliseconds(300));
  whole.raw().Say(rest);
  EXPECT_THAT(whole.HearUntil("answered"), HasSubstr("/2 is answered"));
  ask(part);
  const auto start = steady_clock::now();
  EXPECT_EQ(part.raw().HearUntil("anything"), "");
  EXPECT_LT(steady_clock::now() - start, seconds(5)) << "not closed when it was idle";
}

TEST(HttpServer, AHandlerThatThrowsIsA500AndTheServerGoesOn) {
  const auto server =
      StartServer([](const Request& request, BodyReader&, ResponseWriter& writer) -> Task<void> {
        if (request.path == "/bad") throw std::runtime_error("no");
        co_await writer.Send(200, "text/plain", "fine");
      });
  EXPECT_EQ(500, Fetch({.url = Url(*server, "/bad")})->status);
  EXPECT_EQ("fine", Fetch({.url = Url(*server, "/good")})->body);
}

TEST(HttpServer, DrainFinishesWhatIsBeingAnswered) {
  std::promise<void> entered;
  auto server = StartServer([&](const Request&, BodyReader&, ResponseWriter& writer) -> Task<void> {
    entered.set_value();
    Notifier notifier(co_await boost::asio::this_coro::executor);
    co_await notifier.Wait(milliseconds(300));
    co_await writer.Send(200, "text/plain", "done");
  });
  RawClient idle(server->port());
  const std::string url = Url(*server, "/");
  auto answer = std::async(std::launch::async, [&] { return Fetch({.url = url}); });
  entered.get_future().wait();
  const auto start = steady_clock::now();
  server->Drain(start + seconds(10));
  EXPECT_LT(steady_clock::now() - start, seconds(5));
  EXPECT_EQ("done", answer.get()->body);
  EXPECT_EQ("", idle.HearUntil("never"));
  const auto refused = Fetch({.url = url});
  ASSERT_FALSE(refused);
  EXPECT_EQ(ErrorCode::kUnavailable, refused.error().code);
}

// Until the last answer is out, so that the server can be asked how it is.
TEST(HttpServer, ADrainingServerTakesNewRequests) {
  std::promise<void> entered, released;
  auto release = released.get_future().share();
  auto server = StartServer(
      [&](const Request& request, BodyReader& body, ResponseWriter& writer) -> Task<void> {
        if (request.path == "/long") {
          Notifier notifier(co_await boost::asio::this_coro::executor);
          entered.set_value();
          while (release.wait_for(seconds(0)) != std::future_status::ready)
            co_await notifier.Wait(milliseconds(10));
        }
        co_await Echo(request, body, writer);
      });
  RawClient idle(server->port()), begun(server->port()), taken(server->port());
  begun.Say("GET /begun HTTP");
  taken.Say("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
  entered.get_future().wait();
  auto drained = std::async(std::launch::async,
                            [&] { return server->Drain(steady_clock::now() + seconds(60)); });
  EXPECT_EQ("", idle.HearUntil("never"));
  begun.Say("/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(begun.HearUntil("never"),
              AllOf(HasSubstr("Connection: close"), HasSubstr("/begun|")));
  RawClient silent(server->port());
  const auto answer = Fetch({.url = Url(*server, "/new")});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ("/new|", answer->body);
  EXPECT_EQ(std::future_status::timeout, drained.wait_for(seconds(0)));
  released.set_value();
  EXPECT_THAT(taken.HearUntil("/long|"), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(drained.get());
  EXPECT_EQ("", silent.HearUntil("never"));
  EXPECT_FALSE(Fetch({.url = Url(*server, "/late")}));
}

// One is accepted, but not looked at yet, when the others are told to close.
TEST(HttpServer, DrainClosesConnectionsThatJustCame) {
  const auto server = StartServer(Echo, {.io_threads = 1});
  std::promise<void> begun[2], released[2];
  const auto block = [&](int i) {
    boost::asio::post(server->executor(), [&begun = begun[i], &released = released[i]] {
      begun.set_value();
      released.get_future().wait();
    });
  };
  block(0);
  begun[0].get_future().wait();
  RawClient client(server->port());
  block(1);
  released[0].set_value();
  begun[1].get_future().wait();
  server->Drain(steady_clock::now());
  released[1].set_value();
  const auto start = steady_clock::now();
  EXPECT_EQ(client.HearUntil("anything"), "");
  EXPECT_LT(steady_clock::now() - start, seconds(5)) << "not closed";
}

TEST(HttpServer, AnAddressInUseSaysSo) {
  const auto server = StartServer(Echo);
  const auto second = Server::Start({.port = server->port()}, Echo);
  ASSERT_FALSE(second);
  EXPECT_EQ(ErrorCode::kUnavailable, second.error().code);
}

TEST(Server, WithoutThreadsDoesNotStart) {
  const NoThreads limit;
  const auto server = Server::Start({.port = 0}, Echo);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kResourceExhausted);
}

// Numbers of sockets that a program would inherit that this process starts.
std::vector<int> InheritedSockets() {
  std::vector<int> sockets;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    struct stat info = {};
    if (::fstat(descriptor, &info) == 0 && S_ISSOCK(info.st_mode) &&
        (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0)
      sockets.push_back(descriptor);
  }
  return sockets;
}

TEST(HttpServer, StartedProgramsInheritNoSockets) {
  const std::vector<int> before = InheritedSockets();
  std::vector<int> during;
  const auto server =
      StartServer([&](const Request&, BodyReader&, ResponseWriter& out) -> Task<void> {
        during = InheritedSockets();
        co_await out.Send(200, "text/plain", "ok");
      });
  ASSERT_TRUE(Fetch({.url = Url(*server, "/")}));
  EXPECT_EQ(during, before);
}

TEST(HttpClient, NobodyListeningIsUnavailable) {
  const auto answer = Fetch({.url = "http://127.0.0.1:1/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(ErrorCode::kUnavailable, answer.error().code);
}

TEST(HttpClient, WhatACallbackThrowsComesOutAndTheNextRequestIsMade) {
  const auto server = StartServer(Echo);
  const auto fail = [](auto&&...) -> bool { throw std::runtime_error("no"); };
  const std::string url = Url(*server, "/x");
  for (const ClientRequest& request :
       {ClientRequest{.url = url, .on_head = fail}, ClientRequest{.url = url, .on_data = fail},
        ClientRequest{.url = url, .cancelled = fail}}) {
    EXPECT_THROW((void)Fetch(request), std::runtime_error);
    const auto answer = Fetch({.url = url});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, "/x|");
  }
}

TEST(HttpClient, LineSplitterDoesNotCareHowTextArrives) {
  const std::string text = "one\ntwo\n\nthree";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    std::vector<std::string> lines;
    LineSplitter splitter([&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
    splitter.Push(text.substr(0, cut));
    splitter.Push(text.substr(cut));
    splitter.Finish();
    EXPECT_THAT(lines, ::testing::ElementsAre("one", "two", "three"));
  }
}

}  // namespace
}  // namespace puna::http
