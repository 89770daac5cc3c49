#include "cli/recent_rate.h"

#include <gtest/gtest.h>

#include <set>

namespace puna::cli {
namespace {

TEST(RecentRateTest, WhatWasThereBeforeAndTheFirstMomentsCountForNothing) {
  RecentRate rate(100, 5000);
  EXPECT_FALSE(rate.Note(100.4, 5040));
  EXPECT_DOUBLE_EQ(rate.Note(101, 5100).value_or(0), 100);
}

TEST(RecentRateTest, FollowsTheLastSeconds) {
  RecentRate rate(0, 0);
  double now = 0;
  int64_t done = 0;
  const auto run = [&](double seconds, int64_t each_tenth) {
    std::optional<double> shown;
    for (int i = 0; i < static_cast<int>(seconds * 10); ++i) {
      now += 0.1;
      done += each_tenth;
      shown = rate.Note(now, done);
    }
    return shown.value_or(-1);
  };
  EXPECT_NEAR(run(60, 1000), 10'000, 1);
  // The average since the start would still be above 9 000.
  EXPECT_NEAR(run(7, 100), 1000, 1);
  // Stalled, and going on again.
  EXPECT_NEAR(run(7, 0), 0, 1e-9);
  EXPECT_NEAR(run(7, 500), 5000, 1);
}

TEST(RecentRateTest, ChangesOnceASecond) {
  RecentRate rate(0, 0);
  std::set<double> shown;
  for (int i = 1; i <= 100; ++i) {
    if (const auto value = rate.Note(i * 0.1, i * i)) shown.insert(*value);
  }
  EXPECT_GE(shown.size(), 9u);
  EXPECT_LE(shown.size(), 11u);
}

TEST(RecentRateTest, RareReportsAreComparedWithTheOneBefore) {
  RecentRate rate(0, 0);
  rate.Note(20, 2000);
  EXPECT_DOUBLE_EQ(rate.Note(40, 2600).value_or(0), 30);
}

TEST(RecentRateTest, BurstsWithinTheWindowAreEvenedOut) {
  RecentRate rate(0, 0);
  for (int i = 1; i <= 300; ++i) {
    // A thousand every second, at once.
    const auto shown = rate.Note(i * 0.1, i / 10 * 1000);
    if (i > 100) {
      EXPECT_NEAR(shown.value_or(0), 1000, 201) << i;
    }
  }
}

TEST(RecentRateTest, AnAttemptThatBeginsAgainIsMeasuredAnew) {
  RecentRate rate(0, 0);
  EXPECT_TRUE(rate.Note(10, 9000));
  EXPECT_FALSE(rate.Note(11, 100));
  EXPECT_DOUBLE_EQ(rate.Note(12, 150).value_or(0), 50);
}

}  // namespace
}  // namespace puna::cli
