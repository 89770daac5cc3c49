#include "api/call.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <future>

#include "api/blocking_pool.h"

namespace puna::api {
namespace {

using namespace std::chrono_literals;

struct GivenBody : http::BodyReader {
  http::Task<Result<std::string>> Read() override { co_return text; }
  http::Task<Result<std::string>> ReadAll(uint64_t) override { co_return text; }
  std::string text;
};

struct MutedWriter : http::ResponseWriter {
  void SetHeader(std::string, std::string) override {}
  http::Task<void> Send(int, std::string_view, std::string body) override {
    sent = std::move(body);
    co_return;
  }
  http::Task<void> StartStream(int, std::string_view) override { co_return; }
  http::Task<bool> Write(std::string) override { co_return !gone; }
  http::Task<void> Finish() override { co_return; }
  bool started() const override { return false; }
  bool client_gone() const override { return gone; }
  void OnClientGone(std::function<void()>) override {}
  std::atomic<bool> gone = false;
  std::string sent;
};

TEST(OnBlockingPoolUnlessGone, RunsNothingForAClientThatHasGone) {
  BlockingPool pool;
  ASSERT_TRUE(pool.Start(1));
  Services services;
  services.blocking = &pool;
  const http::Request request;
  GivenBody body;
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

// While the pool has no thread to spare: small JSON does not need one, large JSON waits for it.
TEST(Call, LargeJsonIsReadAndWrittenOnTheBlockingPool) {
  for (const size_t bytes : {1000, 1'000'000}) {
    BlockingPool pool;
    ASSERT_TRUE(pool.Start(1));
    std::promise<void> release;
    boost::asio::post(pool.executor(), [held = release.get_future().share()] { held.wait(); });
    Services services;
    services.blocking = &pool;
    const http::Request request;
    GivenBody body;
    body.text = fmt::format(R"({{"text":"{}"}})", std::string(bytes, 'x'));
    MutedWriter writer;
    Call call{request, body, writer, services, {}};
    boost::asio::io_context io;
    const bool large = bytes > 1000;

    auto read = boost::asio::co_spawn(io, ReadJson(call), boost::asio::use_future);
    Json list = Json::array();
    for (size_t i = 0; i < bytes; i += 10) list.push_back(0.5);
    auto sent = boost::asio::co_spawn(io, SendJson(call, 200, list), boost::asio::use_future);
    io.run_for(std::chrono::milliseconds(large ? 100 : 10'000));
    for (const auto status : {read.wait_for(0s), sent.wait_for(0s)})
      EXPECT_EQ(status, large ? std::future_status::timeout : std::future_status::ready);
    release.set_value();
    io.restart();
    io.run_for(std::chrono::seconds(10));
    const Result<Json> json = read.get();
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_EQ(JsonString(*json, "text").size(), bytes);
    sent.get();
    EXPECT_EQ(writer.sent, DumpJson(list));
  }
}

}  // namespace
}  // namespace puna::api
