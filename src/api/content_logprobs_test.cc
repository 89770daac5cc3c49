#include "api/content_logprobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "chat/chat.h"

namespace puna::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Spoken {
  const char* token;
  const char* text;  // that comes with it
};

std::vector<std::string> ContentTokens(const std::vector<Spoken>& tokens,
                                       bool starts_thinking = false) {
  chat::OutputOptions options;
  options.think_tags = {"<think>", "</think>"};
  options.starts_thinking = starts_thinking;
  options.format = "hermes";
  options.tools = {{Json::parse(R"({"type": "function", "function": {"name": "f"}})")}};
  chat::OutputParser parser(options);
  ContentLogprobs logprobs;
  std::vector<LogprobEntry> entries;
  for (const auto& [token, text] : tokens) {
    logprobs.Add(LogprobEntry{.token = token}, text);
    const chat::OutputDelta delta = parser.Add(text);
    logprobs.Take(delta.content, parser.undecided_bytes(), &entries);
  }
  logprobs.Take(parser.Finish().content, 0, &entries);
  std::vector<std::string> names;
  for (const LogprobEntry& entry : entries) names.push_back(entry.token);
  return names;
}

std::vector<Spoken> Plain(const std::vector<const char*>& tokens) {
  std::vector<Spoken> spoken;
  for (const char* token : tokens) spoken.push_back({token, token});
  return spoken;
}

TEST(ContentLogprobs, TellsTokensThatWereHeldBack) {
  EXPECT_THAT(ContentTokens(Plain({"<", "b", ">", "hi"})), ElementsAre("<", "b", ">", "hi"));
  EXPECT_THAT(ContentTokens(Plain({"a ", "<", "tool", "<", "tool", "s"})),
              ElementsAre("a ", "<", "tool", "<", "tool", "s"));
  EXPECT_THAT(ContentTokens(Plain({"hi<", "b"})), ElementsAre("hi<", "b"));
  EXPECT_THAT(ContentTokens(Plain({"hi", " <to"})), ElementsAre("hi", " <to"));
}

TEST(ContentLogprobs, LeavesOutWhatIsNoContent) {
  EXPECT_THAT(ContentTokens(Plain({"<think>", "th", "</", "think", ">", "\n\n", "thi", "s"})),
              ElementsAre("thi", "s"));
  EXPECT_THAT(ContentTokens(Plain({"th", "</", "think>\n", "this"}), /*starts_thinking=*/true),
              ElementsAre("this"));
  EXPECT_THAT(ContentTokens(Plain({"Look", ":", "\n", "<tool_call>", "{\"name\": \"f\",",
                                   " \"arguments\": {}}", "</tool_call>"})),
              ElementsAre("Look", ":"));
  EXPECT_THAT(ContentTokens(Plain({"<think>", "th"})), IsEmpty());
}

TEST(ContentLogprobs, TellsTokensWithoutTextOfTheirOwn) {
  EXPECT_THAT(ContentTokens({{"half", ""}, {"other", "ä"}, {"b", "b"}, {"end", ""}}),
              ElementsAre("half", "other", "b"));
}

TEST(ContentLogprobs, TellsThemWithTextThatCameWithNoToken) {
  ContentLogprobs logprobs;
  std::vector<LogprobEntry> entries;
  logprobs.Add(LogprobEntry{.token = "st"}, "");
  logprobs.Take("", 0, &entries);
  logprobs.Add(std::nullopt, "st");
  logprobs.Take("st", 0, &entries);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].token, "st");
}

}  // namespace
}  // namespace puna::api
