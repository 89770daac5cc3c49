#include "engine/token_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace puna::engine {
namespace {

StreamEvent Token(TokenId token) {
  StreamEvent event;
  event.delta.token = token;
  return event;
}

TEST(TokenStream, TakeReturnsAllAndDoesNotWait) {
  TokenStream stream;
  EXPECT_TRUE(stream.Take().empty());
  stream.Push(Token(1));
  stream.Push(Token(2));
  const auto events = stream.Take();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].delta.token, 2);
  EXPECT_TRUE(stream.Take().empty());
}

TEST(TokenStream, NotifiesOnlyWhenItStopsBeingEmpty) {
  TokenStream stream;
  int calls = 0;
  stream.SetNotify([&] { ++calls; });
  stream.Push(Token(1));
  stream.Push(Token(2));
  EXPECT_EQ(calls, 1);
  stream.Take();
  stream.Push(Token(3));
  EXPECT_EQ(calls, 2);
  int others = 0;
  stream.SetNotify([&] { ++others; });  // something is waiting: at once
  EXPECT_EQ(others, 1);
  stream.Take();
  stream.SetNotify(nullptr);
  stream.Push(Token(4));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(others, 1);
}

TEST(TokenStream, AFailureFromOutsideIsTheLastEvent) {
  TokenStream stream;
  stream.Push(Token(1));
  EXPECT_FALSE(stream.cancelled());
  stream.Fail({ErrorCode::kUnavailable, "first"});
  EXPECT_TRUE(stream.cancelled());
  stream.Push(Token(2));
  stream.Fail({ErrorCode::kInternal, "second"});
  const auto events = stream.Take();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].error.message, "first");
  TokenStream done;
  StreamEvent end;
  end.kind = StreamEvent::Kind::kFinished;
  done.Push(end);
  done.Fail({ErrorCode::kUnavailable, "late"});
  EXPECT_EQ(done.Take().size(), 1u);
}

TEST(TokenStream, EveryEventArrivesOnceAndInOrder) {
  TokenStream stream;
  constexpr int kEvents = 20000;
  std::thread producer([&] {
    for (int i = 0; i < kEvents; ++i) stream.Push(Token(i));
  });
  int next = 0;
  while (next < kEvents) {
    for (const StreamEvent& event : stream.Wait()) ASSERT_EQ(event.delta.token, next++);
  }
  producer.join();
}

TEST(TokenStream, AnEarlierNotifyIsNotCalledAfterSetNotifyReturned) {
  TokenStream stream;
  std::atomic<bool> stop = false;
  std::thread producer([&] {
    while (!stop) stream.Push(Token(1));
  });
  for (int i = 0; i < 2000; ++i) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    stream.SetNotify([counter = alive.get()] { ++*counter; });
    stream.Take();
    stream.SetNotify(nullptr);
    alive.reset();  // a late call would be a use after free, which the sanitizers see
  }
  stop = true;
  producer.join();
}

// Who asks first whether a stream is cancelled, and then takes, never misses why.
TEST(TokenStream, TheReasonIsThereWhenAFailedStreamIsCancelled) {
  for (int i = 0; i < 500; ++i) {
    TokenStream stream;
    std::thread producer([&] { stream.Fail({ErrorCode::kUnavailable, "gone"}); });
    bool cancelled = false, told = false;
    while (!cancelled) {
      cancelled = stream.cancelled();
      told = told || !stream.Take().empty();
    }
    EXPECT_TRUE(told);
    producer.join();
  }
}

}  // namespace
}  // namespace puna::engine
