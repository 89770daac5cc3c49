#include "api/call.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>

#include "api/blocking_pool.h"

namespace puna::api {
namespace {

struct NoBody : http::BodyReader {
  http::Task<Result<std::string>> Read() override { co_return std::string(); }
  http::Task<Result<std::string>> ReadAll(uint64_t) override { co_return std::string(); }
};

struct MutedWriter : http::ResponseWriter {
  void SetHeader(std::string, std::string) override {}
  http::Task<void> Send(int, std::string_view, std::string) override { co_return; }
  http::Task<void> StartStream(int, std::string_view) override { co_return; }
  http::Task<bool> Write(std::string) override { co_return !gone; }
  http::Task<void> Finish() override { co_return; }
  bool started() const override { return false; }
  bool client_gone() const override { return gone; }
  void OnClientGone(std::function<void()>) override {}
  std::atomic<bool> gone = false;
};

TEST(OnBlockingPoolUnlessGone, RunsNothingForAClientThatHasGone) {
  BlockingPool pool;
  ASSERT_TRUE(pool.Start(1));
  Services services;
  services.blocking = &pool;
  const http::Request request;
  NoBody body;
  MutedWriter writer;
  Call call{request, body, writer, services, {}};
  int runs = 0;
  const auto ask = [&]() -> Result<int> {
    boost::asio::io_context io;
    const std::function<Result<int>()> count = [&]() -> Result<int> { return ++runs; };
    auto answer =
        boost::asio::co_spawn(io, OnBlockingPoolUnlessGone(call, count), boost::asio::use_future);
    io.run_for(std::chrono::seconds(10));
    return answer.get();
  };
  const Result<int> first = ask();
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*first, 1);
  writer.gone = true;
  const Result<int> second = ask();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace puna::api
