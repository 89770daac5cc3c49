#include "base/text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/utf8.h"

namespace puna {
namespace {

TEST(FindTextTest, FindsWhatTheStandardLibraryFinds) {
  std::mt19937_64 random(5);
  const auto letters = [&](size_t most) {
    std::string text;
    for (size_t n = random() % (most + 1); n > 0; --n) text += random() % 3 ? 'a' : 'b';
    return text;
  };
  for (int i = 0; i < 5000; ++i) {
    const std::string text = letters(40), part = letters(6);
    const size_t from = random() % 50;
    EXPECT_EQ(FindText(text, part, from), text.find(part, from)) << text << " " << part;
    EXPECT_EQ(FindLastText(text, part), text.rfind(part)) << text << " " << part;
  }
}

TEST(LowerCaseTest, ChangesAsciiLettersOnly) {
  EXPECT_EQ(LowerCase("AbZ@[ 1-\xC3\x84"), "abz@[ 1-\xC3\x84");
}

TEST(FindTextTest, NothingIsInNothing) {
  EXPECT_EQ(FindText({}, {}), 0u);
  EXPECT_EQ(FindLastText({}, {}), 0u);
  EXPECT_EQ(FindText({}, "a"), std::string_view::npos);
}

TEST(FindTextTest, TakesTheTimeOfTheLengths) {
  const std::string text(20'000'000, 'a'), part = std::string(10'000'000, 'a') + 'b';
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(FindText(text, part), std::string::npos);
  EXPECT_EQ(FindLastText(text, 'b' + std::string(10'000'000, 'a')), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(OnOneLineTest, ShowsWhatIsNoText) {
  EXPECT_EQ(OnOneLine("GET /a b \xC3\xA9 \\"), "GET /a b \xC3\xA9 \\");
  EXPECT_EQ(OnOneLine("a\nb\r\t"), "a\\nb\\r\\t");
  EXPECT_EQ(OnOneLine(std::string("\x1b[31m\0\x7f\xC2\x9B\xFF", 10)),
            "\\x1b[31m\\x00\\x7f\\xc2\\x9b\\xff");
}

TEST(ShortenedTest, OrdinaryMessagesStayAsTheyAre) {
  for (const std::string& message :
       {std::string(), std::string("model 'x' not found"), "sha256:" + std::string(64, 'a'),
        std::string("two\nlines,  two spaces\n"), "/" + std::string(250, 'p') + ": no such file"}) {
    EXPECT_EQ(Shortened(message), message);
  }
}

TEST(ShortenedTest, LongWordsKeepTheirEnds) {
  const std::string shortened =
      Shortened("source \"x" + std::string(10000, 'y') + "z\" is invalid");
  EXPECT_TRUE(shortened.starts_with("source \"xyyy")) << shortened;
  EXPECT_TRUE(shortened.ends_with("yyyz\" is invalid")) << shortened;
  EXPECT_NE(shortened.find("y...y"), std::string::npos) << shortened;
  EXPECT_LT(shortened.size(), 400u);
}

TEST(ShortenedTest, CharactersStayWhole) {
  for (int before = 0; before < 4; ++before) {
    std::string word(static_cast<size_t>(before), 'x');
    for (int i = 0; i < 3000; ++i) word += "\xE6\x97\xA5";
    const std::string shortened = Shortened(word);
    EXPECT_LT(shortened.size(), 400u);
    EXPECT_TRUE(IsValidUtf8(shortened)) << before;
  }
}

TEST(ShortenedTest, ManyWordsAreCutToo) {
  std::string words;
  for (int i = 0; i < 10000; ++i) words += "a ";
  EXPECT_LE(Shortened(words).size(), 4096u);
}

}  // namespace
}  // namespace puna
