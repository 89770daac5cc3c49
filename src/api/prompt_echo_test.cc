#include "api/prompt_echo.h"

#include <gtest/gtest.h>

#include "tokenizer/small_vocabulary.h"

namespace puna::api {
namespace {

using tokenizer::TokenId;
using tokenizer::TokenKind;
using tokenizer::testing::SmallVocabulary;

// Words, a space before them or not, and bytes.
class PromptEchoTest : public ::testing::Test {
 protected:
  PromptEchoTest() : vocabulary_(tokenizer::Algorithm::kSentencePiece) {
    vocabulary_.Add("<unk>", TokenKind::kUnknown);
    vocabulary_.source().bos = bos_ = vocabulary_.Add("<s>", TokenKind::kControl);
    first_byte_ = static_cast<TokenId>(vocabulary_.source().tokens.size());
    for (int byte = 0; byte < 256; ++byte)
      vocabulary_.Add(tokenizer::ByteTokenText(static_cast<uint8_t>(byte)), TokenKind::kByte);
    vocabulary_.source().add_space_prefix = true;
  }
  TokenId Byte(uint8_t byte) const { return first_byte_ + byte; }
  TokenId Word(const std::string& text) {
    std::string escaped;
    tokenizer::AppendEscapedSpaces(text, &escaped);
    return vocabulary_.Add(escaped);
  }
  std::optional<PromptEcho> Echo(const std::vector<TokenId>& tokens, std::string_view text,
                                 TextRange place, std::string_view prompt) const {
    return EchoOfText(*vocabulary_.Make(), tokens, text, place, prompt);
  }
  SmallVocabulary vocabulary_;
  TokenId bos_ = 0, first_byte_ = 0;
};

TEST_F(PromptEchoTest, TheTemplatesTokensAreLeftOut) {
  const std::vector<TokenId> tokens = {bos_,           Word(" user"), Word(":"), Word("user"),
                                       Word(" again"), Word("."),     bos_};
  const auto echo = Echo(tokens, "user:user again.<s>", {5, 15}, "user again");
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->text, "user again");
  EXPECT_EQ(echo->characters, 10u);
  EXPECT_EQ(echo->first_token, 3u);
  EXPECT_EQ(echo->offsets, (std::vector<size_t>{0, 4}));
}

TEST_F(PromptEchoTest, TokensThatReachOverTheBorderAreOfThePrompt) {
  const std::vector<TokenId> tokens = {bos_, Word(" a:"), Word(" b"), Word("c\n\n"), Word("d")};
  const auto echo = Echo(tokens, "a: bc\n\nd", {3, 6}, "bc\n");
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->first_token, 2u);
  EXPECT_EQ(echo->offsets, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(echo->characters, 3u);
}

TEST_F(PromptEchoTest, WhiteSpaceThatTheTemplateDropsIsEchoed) {
  const std::vector<TokenId> tokens = {Word(" a:"), Word("b"), Word("c"), Word("d")};
  const auto echo = Echo(tokens, "a:bcd", {2, 4}, " \n bc ");
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->text, " \n bc ");
  EXPECT_EQ(echo->first_token, 1u);
  EXPECT_EQ(echo->offsets, (std::vector<size_t>{3, 4}));
  EXPECT_EQ(echo->characters, 6u);
  const auto nothing = Echo(tokens, "a:bcd", {2, 2}, "");
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->offsets.empty());
  // Within a token too.
  EXPECT_TRUE(Echo(tokens, "a:bcd", {1, 1}, " ")->offsets.empty());
}

TEST_F(PromptEchoTest, PlacesAreInCharacters) {
  const std::string text = "\u00E9\u65E5\u672C";
  const std::vector<TokenId> tokens = {bos_,       Word(" \u00E9"), Byte(0xE6),
                                       Byte(0x97), Byte(0xA5),      Word("\u672C")};
  const auto echo = Echo(tokens, text, {0, text.size()}, text);
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->first_token, 1u);
  EXPECT_EQ(echo->offsets, (std::vector<size_t>{0, 1, 2, 2, 2}));
  EXPECT_EQ(echo->characters, 3u);
}

TEST_F(PromptEchoTest, NothingIsKnownOfChangedTexts) {
  const std::vector<TokenId> tokens = {Word(" a:"), Word("b"), Word("c")};
  EXPECT_FALSE(Echo(tokens, "a:bc", {2, 4}, "BC")) << "by the template";
  EXPECT_FALSE(Echo(tokens, "a:BC", {2, 4}, "BC")) << "by the tokenizer";
  EXPECT_FALSE(Echo(tokens, "a:bcd", {2, 5}, "bcd")) << "the end was dropped";
}

TEST_F(PromptEchoTest, TokensSayWhatDecodeSays) {
  const TokenId word = Word(" a"), space = Word(" ");
  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer = vocabulary_.Make();
  const std::vector<TokenId> all[] = {
      {word, word},
      {bos_, word, word},
      {space, word, Byte(0xE6), Byte(0x97), word, Byte(0xFF), bos_, word},
      {Byte(0x97), Byte(0xE6), Byte(0x97)},
      {}};
  for (const std::vector<TokenId>& tokens : all) {
    const PromptEcho echo = EchoOfTokens(*tokenizer, tokens);
    EXPECT_EQ(echo.text, tokenizer->Decode(tokens, /*with_special=*/true));
    EXPECT_EQ(echo.first_token, 0u);
    EXPECT_EQ(echo.offsets.size(), tokens.size());
    EXPECT_TRUE(std::is_sorted(echo.offsets.begin(), echo.offsets.end()));
  }
  const PromptEcho echo = EchoOfTokens(*tokenizer, all[2]);
  EXPECT_EQ(echo.offsets, (std::vector<size_t>{0, 0, 2, 3, 4, 6, 7, 10}));
  EXPECT_EQ(echo.characters, 12u);
}

}  // namespace
}  // namespace puna::api
