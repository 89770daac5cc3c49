#include "store/convert/peft_key.h"

#include <gtest/gtest.h>

#include <string>

namespace puna::store {
namespace {

bool Matches(std::string_view key, std::string_view module) {
  const auto matched = MatchesPeftKey(key, module);
  EXPECT_TRUE(matched) << key << ": " << matched.error().message;
  return matched && *matched;
}

constexpr std::string_view kQuery = "model.layers.12.self_attn.q_proj";

// Expected values are those of Python's re.match(rf"(.*\.)?({key})$", module).
TEST(PeftKeyTest, MatchesWhatPythonMatches) {
  for (const char* key : {"q_proj",
                          "self_attn.q_proj",
                          "self.attn.q.proj",
                          "model.layers.12.self_attn.q_proj",
                          "^model.layers.12.self_attn.q_proj",
                          "^model.*q_proj$",
                          ".*",
                          R"(.*\.q_proj)",
                          R"(layers\.\d+\.self_attn\.(q|k)_proj)",
                          R"(layers\.(1|12|13)\..*)",
                          "[kq]_proj",
                          "[^k]_proj",
                          "[a-q]_proj",
                          "(?:self_)?attn.q_proj",
                          "(cross_)?self_attn.q_proj",
                          R"(layers.[0-9]+?.\w*\.q_proj)",
                          "o_proj|q_proj",
                          "q_?proj",
                          "q_proj()",
                          "l.+j",
                          "[]q]_proj",
                          R"([\d\w]_proj)"}) {
    EXPECT_TRUE(Matches(key, kQuery)) << key;
  }
  for (const char* key :
       {"proj", "k_proj", "_proj", "self_attn", "^self_attn.q_proj", "layers.1.self_attn.q_proj",
        "q_proj.", "", R"(layers\.\d\.self_attn\.q_proj)", R"(self\-attn.q_proj)", "[^q]_proj",
        "(k|v|o)_proj", "^q_proj|^k_proj", "q_proj$x", "q+proj", "Q_PROJ"}) {
    EXPECT_FALSE(Matches(key, kQuery)) << key;
  }
  EXPECT_TRUE(Matches("lm_head", "lm_head"));
  EXPECT_TRUE(Matches("^lm_head", "lm_head"));
  EXPECT_FALSE(Matches("lm_head", "my_lm_head"));
  EXPECT_TRUE(Matches("", "a."));
}

TEST(PeftKeyTest, RepeatsReachEveryPlace) {
  for (const size_t count : {1, 2, 3, 7, 8, 100, 254}) {
    const std::string name(count, 'a');
    EXPECT_TRUE(Matches("a*", name));
    EXPECT_TRUE(Matches("^a+$", name));
    EXPECT_FALSE(Matches("a*", name + "b")) << count;
    EXPECT_EQ(Matches("a+a+a+", name), count >= 3);
  }
}

TEST(PeftKeyTest, WhatIsNotSupportedIsAnError) {
  for (const char* key :
       {"(q|k)+_proj", "(q_)*proj", "q{1,3}_proj", "(?=q).*", "(?P<a>q)_proj", R"((q)\1)",
        R"(q_proj\b)", "q_proj)", "(q_proj", "[q_proj", "q_proj\\", "*", "q**", "[z-a]", "q+*"}) {
    const auto matched = MatchesPeftKey(key, kQuery);
    ASSERT_FALSE(matched) << key;
    EXPECT_EQ(matched.error().code, ErrorCode::kUnsupported) << key;
  }
  EXPECT_FALSE(MatchesPeftKey(std::string(1000, '('), kQuery));
  EXPECT_FALSE(MatchesPeftKey("q_proj", std::string(256, 'a')));
}

// Expressions that take other engines longer than the age of the universe.
TEST(PeftKeyTest, ManyWaysTakeNoTime) {
  std::string key;
  for (int i = 0; i < 2000; ++i) key += "a*a?";
  EXPECT_FALSE(Matches(key + "b", std::string(200, 'a')));
  EXPECT_TRUE(Matches(key, std::string(200, 'a')));
}

}  // namespace
}  // namespace puna::store
