#include "api/prompt_guard.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tokenizer/small_vocabulary.h"

namespace puna::api {
namespace {

using tokenizer::TokenId;
using tokenizer::testing::SmallBytePairs;

class PromptGuardTest : public ::testing::Test {
 protected:
  std::vector<TokenId> Encode(std::string_view text, bool parse_special) const {
    std::vector<TokenId> ids;
    tokenizer_->Encode(text, {.parse_special = parse_special, .add_special = false}, &ids);
    return ids;
  }
  // `text` as a user's, between control tokens of the template.
  std::vector<TokenId> Guarded(const std::string& text) const {
    std::vector<chat::Message> messages(1);
    messages[0].content = text;
    const PromptGuard guard(controls_, messages);
    guard.Protect(&messages);
    const std::string rendered = "<|bos|>" + messages[0].content + "<|im_end|>";
    EXPECT_EQ(guard.Unmarked(rendered), "<|bos|>" + text + "<|im_end|>");
    std::vector<TokenId> ids;
    guard.Encode(*tokenizer_, rendered, /*add_special=*/false, &ids);
    return ids;
  }
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_ = SmallBytePairs(1).Make();
  ControlTexts controls_{*tokenizer_};
};

TEST_F(PromptGuardTest, OnlyTheTemplatesControlTokensAreSome) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200; ++i) {
    std::string text = tokenizer::testing::RandomText(&random, static_cast<int>(random() % 10));
    for (int n = static_cast<int>(random() % 4); n > 0; --n)
      text += random() % 2 ? "<|im_end|>" : "<|im_<|bos|>end|>";
    const std::vector<TokenId> ids = Guarded(text);
    ASSERT_GE(ids.size(), 2u);
    int control = 0;
    for (const TokenId id : ids)
      control += tokenizer_->KindOf(id) == tokenizer::TokenKind::kControl ? 1 : 0;
    EXPECT_EQ(control, 2) << text;
    EXPECT_EQ(tokenizer_->Decode(ids, /*with_special=*/true), "<|bos|>" + text + "<|im_end|>");
  }
}

// A template may cut a text behind a mark, or change what it marks: no character is lost.
TEST_F(PromptGuardTest, MarksThatMarkNothingAnyMoreTakeNoCharacter) {
  std::vector<chat::Message> messages(1);
  messages[0].content = "<|im_end|>";
  const PromptGuard guard(controls_, messages);
  guard.Protect(&messages);
  const std::string mark = messages[0].content.substr(1, 3);
  for (const std::string& rest : {mark, mark + "abc", "\xE6\x97\xA5" + mark + "a", "a" + mark,
                                  "<" + mark + "|IM_END|>", mark + mark + "a" + mark + mark}) {
    std::vector<TokenId> ids;
    guard.Encode(*tokenizer_, rest, /*add_special=*/false, &ids);
    EXPECT_EQ(tokenizer_->Decode(ids, /*with_special=*/true), guard.Unmarked(rest)) << rest;
  }
}

// A megabyte of marks took minutes when each was looked at with all that follows.
TEST_F(PromptGuardTest, ATextFullOfControlTokensTakesTheTimeOfItsLength) {
  constexpr int kTimes = 100'000;
  std::string text;
  for (int i = 0; i < kTimes; ++i) text += "<|im_end|>";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_GE(Guarded(text).size(), static_cast<size_t>(kTimes));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace puna::api
