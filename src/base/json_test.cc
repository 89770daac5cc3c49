#include "base/json.h"

#include <gtest/gtest.h>

#include <string>

#include "base/json_repair.h"

namespace puna {
namespace {

std::string Lists(int depth) {
  const auto count = static_cast<size_t>(depth);
  return std::string(count, '[') + std::string(count, ']');
}

TEST(ParseJson, ReadsWhatNestsAsDeepAsAllowed) {
  const Json json = ParseJson(Lists(kMaxJsonNesting));
  ASSERT_TRUE(json.is_array());
  EXPECT_EQ(DumpJson(json), Lists(kMaxJsonNesting));
  EXPECT_EQ(ParseJson(R"({"b": 1, "a": [2]})")["a"][0], 2);
}

TEST(ParseJson, WhatNestsDeeperCountsAsMalformed) {
  EXPECT_TRUE(ParseJson(Lists(kMaxJsonNesting + 1)).is_discarded());
  EXPECT_TRUE(ParseJson(std::string(1000000, '[')).is_discarded());
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(ParseJson(objects).is_discarded());
  EXPECT_TRUE(ParseJson("").is_discarded());
  EXPECT_TRUE(ParseJson("{").is_discarded());
}

TEST(ParseJson, BracketsInStringsDoNotNest) {
  const std::string text = "[\"" + std::string(2000, '[') + "\\\"" + std::string(2000, '{') + "\"]";
  EXPECT_EQ(ParseJson(text)[0].get<std::string>().size(), 4001U);
  std::string many = "[";
  for (int i = 0; i < 2000; ++i) many += "[],";
  EXPECT_EQ(ParseJson(many + "[]]").size(), 2001U);
}

TEST(ParseJson, BrokenCharactersInStringsAreReplaced) {
  EXPECT_EQ(ParseJson(R"(["\ud83d\ude00", "\ud83d", "\ude00\ud83d", "\ud83dx"])"),
            Json({"😀", "\uFFFD", "\uFFFD\uFFFD", "\uFFFDx"}));
  EXPECT_EQ(ParseJson(R"(["\ud83d\u0041", "\ud83d\ud83d\ude00"])"), Json({"\uFFFDA", "\uFFFD😀"}));
  EXPECT_EQ(ParseJson("[\"a\xF0\x9F\x98\", \"\xC3\xA4\xFF\"]"),
            Json({"a\uFFFD\uFFFD\uFFFD", "ä\uFFFD"}))
      << "one for each byte";
  EXPECT_TRUE(ParseJson("[\"\xFF\", \xFF]").is_discarded());
  EXPECT_TRUE(ParseJson("[\"\\ud83d").is_discarded());
  EXPECT_TRUE(ParseJson(R"(["\ud83"])").is_discarded());
}

TEST(RepairJsonStrings, LeavesWhatIsWholeAlone) {
  for (const char* text : {"", "{\"ä\": \"\\ud83d\\ude00\"}", R"(["\\ud83d", "\"\\"])", "\\ud83d",
                           R"(["\u12", "\)", "\xFF", "\"\\"}) {
    EXPECT_FALSE(RepairJsonStrings(text)) << text;
  }
  EXPECT_EQ(RepairJsonStrings(R"({"\\\ud83d": 1, "b": "c"} x)"),
            "{\"\\\\\uFFFD\": 1, \"b\": \"c\"} x");
  EXPECT_EQ(RepairJsonStrings("\"" + std::string(1'000'000, '\xFF'))->size(), 3'000'001U);
}

}  // namespace
}  // namespace puna
