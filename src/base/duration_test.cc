#include "base/duration.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace puna {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

TEST(DurationTest, GoDurationsAreReadToTheNanosecond) {
  EXPECT_EQ(nanoseconds(90min), *ParseGoDuration("1h30m"));
  EXPECT_EQ(nanoseconds(-1500ms), *ParseGoDuration("-1.5s"));
  EXPECT_EQ(nanoseconds(1), *ParseGoDuration("0.6ns"));
  EXPECT_EQ(nanoseconds(1002003003004005007), *ParseGoDuration("278334h10m3s4ms5us7ns"));
  // The longest there is, which Go's client writes for one that never ends.
  EXPECT_EQ(kForever, *ParseGoDuration("2562047h47m16.854775807s"));
  EXPECT_EQ(nanoseconds(INT64_MAX - 1), *ParseGoDuration("2562047h47m16.854775806s"));
  EXPECT_EQ(-kForever, *ParseGoDuration("-2562047h47m16.854775807s"));
  for (const char* wrong : {"", "5", "x", "1h-1m", "1y", "2562047h47m16.854775808s", "1e9s"})
    EXPECT_FALSE(ParseGoDuration(wrong)) << wrong;
}

TEST(DurationTest, KeepAliveMayBeSecondsAndNegativeIsForever) {
  EXPECT_EQ(nanoseconds(90s), *ParseKeepAlive("90"));
  EXPECT_EQ(nanoseconds(5min), *ParseKeepAlive("5m"));
  EXPECT_EQ(nanoseconds(0), *ParseKeepAlive("0"));
  for (const char* forever : {"-1", "-1m", "99999999999", "2562047h47m16.854775807s"})
    EXPECT_EQ(kForever, *ParseKeepAlive(forever)) << forever;
}

}  // namespace
}  // namespace puna
