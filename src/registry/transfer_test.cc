// What connections that are ahead of each other leave for the hash.
#include "registry/transfer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdio>

#include "http/server.h"
#include "tests/support/shared_data.h"

namespace puna::registry {
namespace {

constexpr int64_t kSize = 20 << 20;  // parts of 8, 8 and 4 MiB

char ByteAt(int64_t at) { return static_cast<char>(at * 2654435761 >> 13); }

// Sends the bytes of a file of kSize bytes; those of its first part wait until `release`.
class HoldingServer {
 public:
  HoldingServer() {
    http::ServerOptions options;
    options.port = 0;
    auto started = http::Server::Start(
        options, [this](const http::Request& request, http::BodyReader&,
                        http::ResponseWriter& writer) { return Answer(request, writer); });
    server_ = *std::move(started);
  }
  ~HoldingServer() { release = true; }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/blob", server_->port()); }
  std::atomic<bool> release = false;

 private:
  http::Task<void> Answer(const http::Request& request, http::ResponseWriter& writer) {
    int64_t begin = 0, last = 0;
    const std::string range(request.Header("range"));
    if (std::sscanf(range.c_str(), "bytes=%ld-%ld", &begin, &last) != 2) {
      co_await writer.Send(400, "", "");
      co_return;
    }
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (begin == 0 && !release) {
      timer.expires_after(std::chrono::milliseconds(5));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    std::string bytes;
    for (int64_t at = begin; at <= last; ++at) bytes += ByteAt(at);
    writer.SetHeader("Content-Range", fmt::format("bytes {}-{}/{}", begin, last, kSize));
    co_await writer.Send(206, "application/octet-stream", std::move(bytes));
  }

  std::unique_ptr<http::Server> server_;
};

// Bytes of a part that is ahead would fill the room that those are kept in which are hashed next;
// the connection that has these would wait for room, and the hash for that connection.
TEST(TransferTest, WhatIsAheadTakesNoRoomFromWhatIsNext) {
  HoldingServer server;
  const testing::TemporaryDirectory folder;
  const auto name = store::ModelName::Parse("127.0.0.1:1/library/x");
  RegistryOptions options;
  options.connections = 2;
  Session session(*name, /*insecure=*/true, options, nullptr);
  Source source;
  source.name = "the blob";
  source.size_bytes = kSize;
  source.find = [&](const CancelFunction&) -> Result<BlobSource> {
    BlobSource found;
    found.url = server.url();
    found.at_registry = false;
    return found;
  };
  auto file = PartialFile::Open(folder.path() / "sha256-x", kSize, options.connections);
  ASSERT_TRUE(file && *file);
  Transfer transfer(session, source, options, **file);
  FreshBytes& fresh = transfer.fresh();
  int64_t taken = 0, wrong = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  const auto follow = [&]() -> Result<bool> {
    const int64_t kept = fresh.Next();  // before the end is asked for, which only grows
    const int64_t end = (*file)->Contiguous();
    EXPECT_TRUE(kept == INT64_MAX || kept <= end) << kept << " is kept and " << end << " is next";
    const Part& second = (*file)->parts()[1];
    if (second.done.load() == second.size) server.release = true;
    if (std::chrono::steady_clock::now() > deadline)
      return MakeError(ErrorCode::kInternal, "the second part did not come");
    while (const auto bytes = fresh.Take(taken)) {
      for (const char byte : *bytes) wrong += byte != ByteAt(taken++);
    }
    // The rest is to be read back.
    taken = std::max(taken, std::min((*file)->Contiguous(), fresh.Next()));
    return taken < end;
  };
  ASSERT_TRUE(transfer.Begin(follow));
  const Status done = transfer.Run(follow);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(server.release);
  EXPECT_EQ((*file)->Contiguous(), kSize);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace puna::registry
