#include "base/text.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace puna {
namespace {

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
