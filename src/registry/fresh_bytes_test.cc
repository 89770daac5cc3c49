#include "registry/fresh_bytes.h"

#include <gtest/gtest.h>

#include <thread>

namespace puna::registry {
namespace {

constexpr auto kLong = std::chrono::hours(1);

TEST(FreshBytesTest, AreTakenInOrder) {
  FreshBytes fresh;
  EXPECT_EQ(fresh.Take(0), std::nullopt);
  EXPECT_EQ(fresh.Next(), INT64_MAX);
  fresh.Offer(3, "def");
  EXPECT_EQ(fresh.Take(0), std::nullopt);
  EXPECT_EQ(fresh.Next(), 3);
  fresh.Offer(0, "abc");
  EXPECT_EQ(fresh.Take(0), "abc");
  EXPECT_EQ(fresh.Take(3), "def");
  EXPECT_EQ(fresh.Take(6), std::nullopt);
}

TEST(FreshBytesTest, WhatLiesBehindOrFarAheadIsNotKept) {
  FreshBytes fresh;
  fresh.Offer(0, "abc");
  EXPECT_EQ(fresh.Take(1), std::nullopt) << "the taker has read past its beginning";
  fresh.Offer(0, "abc");
  EXPECT_EQ(fresh.Next(), INT64_MAX);
  fresh.Offer(int64_t{1} << 40, "abc");
  EXPECT_EQ(fresh.Next(), INT64_MAX);
  for (int64_t at = 1; at < 64 << 20; at += 1 << 20) fresh.Offer(at, std::string(1 << 20, 'x'));
  int64_t kept = 0;
  while (const auto bytes = fresh.Take(1 + kept)) kept += static_cast<int64_t>(bytes->size());
  EXPECT_GT(kept, 0);
  EXPECT_LE(kept, 16 << 20);
}

TEST(FreshBytesTest, BuffersAreUsedAgain) {
  FreshBytes fresh;
  std::string buffer(1 << 20, 'x');
  const char* memory = buffer.data();
  fresh.Offer(0, std::move(buffer));
  fresh.Return(*fresh.Take(0));
  const std::string again = fresh.Buffer();
  EXPECT_EQ(again.data(), memory);
  EXPECT_EQ(again, "");
}

TEST(FreshBytesTest, WaitingEndsWhenWhatIsWantedComes) {
  FreshBytes fresh;
  EXPECT_EQ(fresh.Take(7), std::nullopt);
  std::thread other([&] { fresh.Offer(7, "abc"); });
  fresh.Wait(kLong);
  other.join();
  EXPECT_EQ(fresh.Take(7), "abc");
  fresh.Wake();
  fresh.Wait(kLong);
}

}  // namespace
}  // namespace puna::registry
