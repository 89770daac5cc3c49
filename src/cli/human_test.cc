#include "cli/human.h"

#include <gtest/gtest.h>

namespace puna::cli {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::system_clock;

TEST(HumanTest, BytesInDecimalUnits) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1000), "1 KB");
  EXPECT_EQ(HumanBytes(1500), "1.5 KB");
  EXPECT_EQ(HumanBytes(9'600'000'000), "9.6 GB");
  EXPECT_EQ(HumanBytes(19'851'349'898), "19 GB");
  EXPECT_EQ(HumanBytes(2'000'000'000'000), "2 TB");
}

TEST(HumanTest, Durations) {
  EXPECT_EQ(HumanDuration(milliseconds(300)), "Less than a second");
  EXPECT_EQ(HumanDuration(seconds(1)), "1 second");
  EXPECT_EQ(HumanDuration(seconds(59)), "59 seconds");
  EXPECT_EQ(HumanDuration(seconds(60)), "About a minute");
  EXPECT_EQ(HumanDuration(minutes(4)), "4 minutes");
  EXPECT_EQ(HumanDuration(minutes(61)), "About an hour");
  EXPECT_EQ(HumanDuration(hours(3)), "3 hours");
  EXPECT_EQ(HumanDuration(hours(47)), "47 hours");
  EXPECT_EQ(HumanDuration(hours(48)), "2 days");
  EXPECT_EQ(HumanDuration(hours(24 * 15)), "2 weeks");
  EXPECT_EQ(HumanDuration(hours(24 * 70)), "2 months");
  EXPECT_EQ(HumanDuration(hours(24 * 365 * 3)), "3 years");
}

TEST(HumanTest, TimesAroundNow) {
  const auto now = system_clock::now();
  EXPECT_EQ(HumanTime(now - hours(2), now), "2 hours ago");
  EXPECT_EQ(HumanTime(now + minutes(4), now), "4 minutes from now");
  EXPECT_EQ(HumanTime(now + hours(24 * 365 * 100), now), "Forever");
  EXPECT_EQ(HumanTime(std::nullopt, now), "Never");
}

TEST(HumanTest, ReadsRfc3339WithFractionAndZone) {
  const auto utc = ParseRfc3339("2026-01-31T12:00:00Z");
  ASSERT_TRUE(utc);
  EXPECT_EQ(system_clock::to_time_t(*utc), 1769860800);
  EXPECT_EQ(ParseRfc3339("2026-01-31T12:00:00.123456789Z"), utc);
  EXPECT_EQ(ParseRfc3339("2026-01-31T14:30:00.5+02:30"), utc);
  EXPECT_EQ(ParseRfc3339("2026-01-31T07:00:00-05:00"), utc);
  EXPECT_FALSE(ParseRfc3339("yesterday"));
  EXPECT_FALSE(ParseRfc3339(""));
}

TEST(HumanTest, TableColumnsAlign) {
  EXPECT_EQ(FormatTable({{"NAME", "SIZE"}, {"mini:latest", "9 MB"}}),
            "NAME           SIZE\nmini:latest    9 MB\n");
  EXPECT_EQ(FormatTable({{"ä", "x"}, {"日本", "y"}}, "  "), "  ä       x\n  日本    y\n");
}

}  // namespace
}  // namespace puna::cli
