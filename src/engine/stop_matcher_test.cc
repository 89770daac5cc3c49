#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace puna::engine {
namespace {

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Push("abc"), "abc");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcher, FindsAStopAcrossPieces) {
  StopMatcher matcher({"</end>"});
  EXPECT_EQ(matcher.Push("text <"), "text ");
  EXPECT_EQ(matcher.Push("/en"), "");
  EXPECT_FALSE(matcher.matched());
  EXPECT_EQ(matcher.Push("d> more"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.match(), "</end>");
  EXPECT_EQ(matcher.Push("more"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcher, GivesBackWhatTurnedOutNotToBeOne) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.Push("a"), "");
  EXPECT_EQ(matcher.Push("a"), "");
  EXPECT_EQ(matcher.Push("a"), "a");  // "aa" may still become "aab"
  EXPECT_EQ(matcher.Push("c"), "aac");
  EXPECT_EQ(matcher.Push("xa"), "x");
  EXPECT_EQ(matcher.Finish(), "a");
  EXPECT_EQ(matcher.Push(""), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcher, TheFirstToBeCompleteWinsAndThenTheLongest) {
  StopMatcher first({"bcd", "c"});
  EXPECT_EQ(first.Push("abcd"), "ab");
  EXPECT_EQ(first.match(), "c");
  StopMatcher longest({"c", "bc", "abcx"});
  EXPECT_EQ(longest.Push("abc"), "a");
  EXPECT_EQ(longest.match(), "bc");
}

TEST(StopMatcher, EmptyAndMalformedStopsAreIgnored) {
  StopMatcher matcher({"", "\xA9"});
  EXPECT_EQ(matcher.Push("\xC3\xA9"), "\xC3\xA9");
  EXPECT_FALSE(matcher.matched());
}

// The slow twin searches the whole text after every byte.
struct Expected {
  std::string text, match;
};
Expected SearchNaively(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops) {
      if (stop.size() > best.size() && std::string_view(text).substr(0, end).ends_with(stop))
        best = stop;
    }
    if (!best.empty()) return {text.substr(0, end - best.size()), best};
  }
  return {text, ""};
}

TEST(StopMatcher, EqualsTheNaiveSearchForAnyPieces) {
  std::mt19937 random(3);
  const auto word = [&](size_t longest) {
    std::string w(1 + random() % longest, 'a');
    for (char& c : w) c = static_cast<char>('a' + random() % 2);
    return w;
  };
  int matches = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(1 + random() % 4);
    for (auto& stop : stops) stop = word(8);
    const std::string text = word(40);
    const Expected expected = SearchNaively(stops, text);
    StopMatcher matcher(stops);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t count = std::min(text.size() - at, static_cast<size_t>(random() % 4));
      out += matcher.Push(text.substr(at, count));
      at += count;
      if (matcher.matched()) continue;
      // What is held back is the longest end of the text that begins a stop string, and nothing
      // longer.
      const std::string held = text.substr(out.size(), at - out.size());
      size_t longest = 0;
      for (const auto& stop : stops) {
        for (size_t n = 1; n < stop.size() && n <= at; ++n) {
          if (text.substr(at - n, n) == stop.substr(0, n)) longest = std::max(longest, n);
        }
      }
      ASSERT_EQ(held.size(), longest) << text << " at " << at;
    }
    out += matcher.Finish();
    ASSERT_EQ(out, expected.text) << text;
    ASSERT_EQ(matcher.match(), expected.match);
    matches += matcher.matched();
  }
  EXPECT_GT(matches, 500);
  EXPECT_LT(matches, 2900);
}

TEST(StopMatcher, HostileStopsCostLinearTime) {
  std::vector<std::string> stops;
  for (int i = 1; i < 300; ++i)
    stops.push_back(std::string(static_cast<size_t>(i) * 10, 'a') + "b");
  StopMatcher matcher(stops);
  const auto begin = std::chrono::steady_clock::now();
  size_t passed = 0;
  for (int i = 0; i < 200000; ++i) passed += matcher.Push("a").size();
  // Quadratic work would be 200,000 * 450,000 comparisons, a minute at least; linear is done within
  // a second, and within ten with a sanitizer on a busy machine.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_EQ(passed, 200000u - 2990u);
}

}  // namespace
}  // namespace puna::engine
