#include "cli/word_wrap.h"

#include <gtest/gtest.h>

#include <random>

namespace puna::cli {
namespace {

std::string WrapInPieces(std::string_view text, int width, size_t piece) {
  WordWrapper wrapper(width);
  std::string out;
  for (size_t at = 0; at < text.size(); at += piece) out += wrapper.Push(text.substr(at, piece));
  return out + wrapper.Finish();
}

TEST(WordWrapTest, BreaksBetweenWords) {
  EXPECT_EQ(WrapInPieces("the quick brown fox", 10, 100), "the quick \nbrown fox");
  EXPECT_EQ(WrapInPieces("the quick brown fox", 9, 100), "the quick\nbrown fox");
  EXPECT_EQ(WrapInPieces("one two", 80, 100), "one two");
}

TEST(WordWrapTest, PiecesDoNotMatter) {
  std::mt19937 random(7);
  std::string text;
  for (int i = 0; i < 400; ++i) {
    const auto kind = random() % 12;
    text += kind == 0 ? '\n' : kind < 3 ? ' ' : static_cast<char>('a' + random() % 26);
  }
  const std::string whole = WrapInPieces(text, 20, text.size());
  for (const size_t piece : {1, 2, 3, 7}) EXPECT_EQ(WrapInPieces(text, 20, piece), whole);
}

TEST(WordWrapTest, NoLineIsLongerThanTheWidthAndNothingIsLost) {
  std::mt19937 random(8);
  std::string text;
  for (int i = 0; i < 500; ++i)
    text += random() % 6 == 0 ? ' ' : static_cast<char>('a' + random() % 26);
  const std::string wrapped = WrapInPieces(text, 12, 5);
  int column = 0;
  for (const char c : wrapped) {
    column = c == '\n' ? 0 : column + 1;
    EXPECT_LE(column, 12);
  }
  const auto letters = [](std::string all) {
    std::erase_if(all, [](char c) { return c == ' ' || c == '\n'; });
    return all;
  };
  EXPECT_EQ(letters(wrapped), letters(text));
}

TEST(WordWrapTest, CutsWordsLongerThanALine) {
  EXPECT_EQ(WrapInPieces("abcdefghij", 4, 100), "abcd\nefgh\nij");
}

TEST(WordWrapTest, WideCharactersBreakAnywhereAndCountTwice) {
  EXPECT_EQ(WrapInPieces("日本語日本語", 6, 18), "日本語\n日本語");
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("é"), 1);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);  // with a combining accent
}

TEST(WordWrapTest, CodeIsLeftAlone) {
  const std::string code = "    if (a  ==  b) call(a, b, c, d);\n";
  const std::string text = "some words here\n```cpp\n" + code + "```\nsome words here";
  for (const size_t piece : {1, 2, 5, 100}) {
    EXPECT_EQ(WrapInPieces(text, 10, piece),
              "some words\nhere\n```cpp\n" + code + "```\nsome words\nhere");
  }
  EXPECT_EQ(WrapInPieces("a ``` in a line is no fence", 12, 3), "a ``` in a \nline is no \nfence");
}

TEST(WordWrapTest, WidthZeroPassesTextThrough) {
  const std::string text = "a b  c\nlonger than any line could be";
  EXPECT_EQ(WrapInPieces(text, 0, 3), text);
}

TEST(WordWrapTest, HoldsBackOnlyTheLastWord) {
  WordWrapper wrapper(20);
  EXPECT_EQ(wrapper.Push("one tw"), "one ");
  EXPECT_TRUE(wrapper.in_line());
  EXPECT_EQ(wrapper.Push("o\n"), "two\n");
  EXPECT_FALSE(wrapper.in_line());
  EXPECT_EQ(wrapper.Finish(), "");
}

}  // namespace
}  // namespace puna::cli
