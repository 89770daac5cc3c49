#include "api/prompt_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace puna::api {
namespace {

using ::testing::ElementsAre;

TEST(LimitOf, TheModelsOwnLimitIsNotCrossedUnasked) {
  const PromptLimit own = LimitOf(0, 0, 8192, std::nullopt, std::nullopt);
  EXPECT_EQ(own.context, 8192);
  EXPECT_FALSE(own.truncate || own.shift || own.chosen);
  const PromptLimit asked = LimitOf(0, 0, 8192, true, true);
  EXPECT_TRUE(asked.truncate && asked.shift);
  const PromptLimit beyond = LimitOf(100000, 0, 8192, std::nullopt, std::nullopt);
  EXPECT_EQ(beyond.context, 8192);
  EXPECT_FALSE(beyond.truncate || beyond.shift);
}

TEST(LimitOf, AChosenContextCutsUnlessToldNotTo) {
  const PromptLimit chosen = LimitOf(2048, 4096, 8192, std::nullopt, std::nullopt);
  EXPECT_EQ(chosen.context, 2048);
  EXPECT_TRUE(chosen.truncate && chosen.shift);
  const PromptLimit strict = LimitOf(2048, 0, 8192, false, false);
  EXPECT_FALSE(strict.truncate || strict.shift);
  const PromptLimit server = LimitOf(0, 4096, 8192, std::nullopt, std::nullopt);
  EXPECT_EQ(server.context, 4096);
  EXPECT_TRUE(server.truncate && server.shift);
  const PromptLimit beyond = LimitOf(0, 16384, 8192, std::nullopt, std::nullopt);
  EXPECT_EQ(beyond.context, 8192);
  EXPECT_FALSE(beyond.truncate || beyond.shift);
}

TEST(LimitOf, ContextsBelowOllamasLeastAreRaisedToIt) {
  for (const int64_t least : {1, 3, 4}) {
    EXPECT_EQ(LimitOf(least, 4096, 8192, std::nullopt, std::nullopt).context, 4);
    EXPECT_EQ(LimitOf(0, least, 8192, std::nullopt, std::nullopt).context, 4);
    EXPECT_TRUE(LimitOf(least, 0, 8192, std::nullopt, std::nullopt).truncate);
  }
  EXPECT_EQ(LimitOf(0, 0, 0, std::nullopt, std::nullopt).context, 0);
}

// A message is as many tokens as its content is long.
Result<int64_t> Count(const std::vector<chat::Message>& messages) {
  int64_t tokens = 0;
  for (const chat::Message& message : messages)
    tokens += static_cast<int64_t>(message.content.size());
  return tokens;
}

std::vector<chat::Message> Conversation(const std::vector<std::pair<std::string, int>>& parts) {
  std::vector<chat::Message> messages;
  for (const auto& [role, length] : parts) {
    chat::Message message;
    message.role = role;
    message.content.assign(static_cast<size_t>(length), 'x');
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<int64_t> Lengths(const std::vector<chat::Message>& messages) {
  std::vector<int64_t> lengths;
  for (const chat::Message& message : messages)
    lengths.push_back(static_cast<int64_t>(message.content.size()));
  return lengths;
}

TEST(DropOldest, KeepsSystemMessagesAndTheLast) {
  const auto messages = Conversation({{"system", 5},
                                      {"user", 10},
                                      {"assistant", 20},
                                      {"system", 3},
                                      {"user", 30},
                                      {"assistant", 40},
                                      {"user", 7}});
  const auto kept = [&](int64_t context) {
    return Lengths(**DropOldest(messages, context, Count));
  };
  EXPECT_THAT(kept(115), ElementsAre(5, 20, 3, 30, 40, 7));
  EXPECT_THAT(kept(106), ElementsAre(5, 20, 3, 30, 40, 7));
  EXPECT_THAT(kept(105), ElementsAre(5, 3, 30, 40, 7));
  EXPECT_THAT(kept(60), ElementsAre(5, 3, 40, 7));
  EXPECT_THAT(kept(16), ElementsAre(5, 3, 7));
  EXPECT_FALSE(DropOldest(messages, 15, Count)->has_value());
}

TEST(DropOldest, ErrorsOfRenderingPassThrough) {
  const auto broken = [](const std::vector<chat::Message>&) -> Result<int64_t> {
    return MakeError(ErrorCode::kInvalidArgument, "no");
  };
  EXPECT_FALSE(DropOldest(Conversation({{"user", 3}, {"user", 4}}), 5, broken));
}

TEST(DropMiddle, KeepsTheBeginningAndHalfOfTheRest) {
  std::vector<tokenizer::TokenId> tokens(300);
  std::iota(tokens.begin(), tokens.end(), 0);
  EXPECT_EQ(DropMiddle(20, 100, &tokens), 240);
  ASSERT_EQ(tokens.size(), 60u);  // 100 - (100 - 20) / 2
  EXPECT_EQ(tokens[19], 19);
  EXPECT_EQ(tokens[20], 260);
  EXPECT_EQ(tokens[59], 299);
}

TEST(DropMiddle, AlwaysLeavesSomethingThatFits) {
  for (const int64_t context : {1, 2, 3, 7, 64}) {
    for (const int64_t keep : {int64_t{-5}, int64_t{0}, int64_t{4}, int64_t{63}, INT64_MAX}) {
      std::vector<tokenizer::TokenId> tokens(200, 1);
      const int64_t dropped = DropMiddle(keep, context, &tokens);
      EXPECT_EQ(static_cast<int64_t>(tokens.size()), 200 - dropped);
      EXPECT_GE(tokens.size(), 1u);
      if (context > 1) {
        EXPECT_LT(static_cast<int64_t>(tokens.size()), context) << keep;
      }
    }
  }
}

}  // namespace
}  // namespace puna::api
