#include "base/json.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace puna
