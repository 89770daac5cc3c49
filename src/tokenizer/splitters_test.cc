// Every hand-written splitter against the expression that defines it, and every known pre-tokenizer
// as a whole.
#include "tokenizer/splitters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tokenizer/pattern_splitter.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/unicode_classes.h"

namespace puna::tokenizer {
namespace {

using ::testing::ElementsAre;
using testing::RandomText;

std::vector<std::string> Pieces(const std::string& text, const std::vector<size_t>& ends) {
  std::vector<std::string> pieces;
  size_t begin = 0;
  for (const size_t end : ends) {
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

std::vector<std::string> SplitWith(const PreTokenizer& pretokenizer, const std::string& text) {
  std::vector<size_t> ends;
  pretokenizer.Split(text, &ends);
  EXPECT_EQ(text.empty() ? 0 : text.size(), ends.empty() ? 0 : ends.back());
  return Pieces(text, ends);
}

PreTokenizer Make(std::span<const SplitStage> stages, bool use_functions) {
  auto made = PreTokenizer::New(stages, use_functions);
  EXPECT_TRUE(made) << made.error().message;
  return *std::move(made);
}

PreTokenizer Named(std::string_view name) { return Make(FindPreTokenizer(name)->stages, true); }

struct NamedStage {
  const char* name;
  const SplitStage* stage;
};

class StageTest : public ::testing::TestWithParam<NamedStage> {};

TEST_P(StageTest, CutsAsItsExpressionDoes) {
  const SplitStage& stage = *GetParam().stage;
  ASSERT_NE(stage.function, nullptr);
  const PreTokenizer fast = Make({&stage, 1}, true);
  const PreTokenizer slow = Make({&stage, 1}, false);
  std::mt19937_64 random(1);
  for (int i = 0; i < 4000; ++i) {
    const std::string text = RandomText(&random, 1 + static_cast<int>(random() % 30));
    ASSERT_EQ(SplitWith(fast, text), SplitWith(slow, text)) << "text '" << text << "'";
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, StageTest,
    ::testing::Values(
        NamedStage{"Gpt2", &kGpt2Stage}, NamedStage{"Llama3", &kLlama3Stage},
        NamedStage{"Qwen2", &kQwen2Stage}, NamedStage{"Qwen35", &kQwen35Stage},
        NamedStage{"Bailing", &kBailingStage}, NamedStage{"SeedCoder", &kSeedCoderStage},
        NamedStage{"Ufakzeka", &kUfakzekaStage},
        NamedStage{"UnlimitedDigits", &kUnlimitedDigitsStage}, NamedStage{"O200k", &kO200kStage},
        NamedStage{"Tekken", &kTekkenStage}, NamedStage{"Kimi", &kKimiStage},
        NamedStage{"Deepseek3", &kDeepseek3Stage}, NamedStage{"EachNumber", &kEachNumberStage},
        NamedStage{"ThreeNumbers", &kThreeNumbersStage}, NamedStage{"NumberRun", &kNumberRunStage},
        NamedStage{"ThreeDigits", &kThreeDigitsStage},
        NamedStage{"EachNewline", &kEachNewlineStage}, NamedStage{"Lines", &kLinesStage},
        NamedStage{"FalconPunctuation", &kFalconPunctuationStage},
        NamedStage{"DigitsFromRight", &kDigitsFromRightStage},
        NamedStage{"DigitsFromRightAtBoundary", &kDigitsFromRightAtBoundaryStage}),
    [](const auto& info) { return info.param.name; });

// One character at a time, over all of Unicode that both libraries know: PCRE2 has version 14,
// utf8proc 15.
TEST(UnicodeClassesTest, AgreeWithThePatternLibrary) {
  struct Row {
    const char* pattern;
    ClassMask mask;
  };
  static constexpr Row kRows[] = {{"\\p{L}", kLetter},
                                  {"\\p{N}", kNumber},
                                  {"\\p{M}", kMark},
                                  {"\\p{P}", kPunctuation},
                                  {"\\p{S}", kSymbol},
                                  {"\\s", kSpace},
                                  {"\\p{Mn}", kNonspacing},
                                  {"\\p{sc:Han}", kHan},
                                  {"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", kUpperOrNone},
                                  {"[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]", kLowerOrNone},
                                  {"[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}]", kControl}};
  const auto assigned = PatternSplitter::Compile("\\P{Cn}");
  ASSERT_TRUE(assigned);
  // A pattern that matches a character isolates it from the two U+0378 (unassigned) around it.
  const auto matches = [](const PatternSplitter& pattern, char32_t c) {
    std::string text = "\u0378";
    AppendUtf8(c, &text);
    text += "\u0378";
    std::vector<size_t> ends;
    pattern.Split(text, 0, &ends);
    return ends.size() > 1;
  };
  for (const Row& row : kRows) {
    const auto pattern = PatternSplitter::Compile(row.pattern);
    ASSERT_TRUE(pattern) << row.pattern;
    int differing = 0;
    for (char32_t c = 0; c < 0x110000; c += (c >= 0x3400 && c < 0x9F00) || c >= 0xE0200 ? 61 : 1) {
      if (c >= 0xD800 && c < 0xE000) continue;
      const bool expected = matches(*pattern, c);
      const bool actual = (UnicodeClasses::Get().Of(c) & row.mask) != 0;
      if (expected != actual && matches(*assigned, c)) {
        ++differing;
        EXPECT_LT(differing, 3) << row.pattern << " U+" << std::hex << static_cast<uint32_t>(c);
      }
    }
    EXPECT_EQ(differing, 0) << row.pattern;
  }
}

TEST(PreTokenizerTest, TableIsSortedAndEveryNameIsFound) {
  const auto known = KnownPreTokenizers();
  EXPECT_GE(known.size(), 85u);
  for (size_t i = 0; i < known.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(known[i - 1].name, known[i].name);
    }
    EXPECT_EQ(FindPreTokenizer(known[i].name), &known[i]);
    EXPECT_FALSE(known[i].stages.empty());
  }
  EXPECT_EQ(FindPreTokenizer("no such"), nullptr);
  EXPECT_EQ(DefaultPreTokenizer().name, "default");
}

TEST(PreTokenizerTest, FunctionsAndExpressionsAgreeForEveryName) {
  std::mt19937_64 random(2);
  for (const PreTokenizerTraits& row : KnownPreTokenizers()) {
    const PreTokenizer fast = Make(row.stages, true);
    const PreTokenizer slow = Make(row.stages, false);
    for (int i = 0; i < 150; ++i) {
      const std::string text = RandomText(&random, 1 + static_cast<int>(random() % 60));
      ASSERT_EQ(SplitWith(fast, text), SplitWith(slow, text)) << row.name << " on '" << text << "'";
    }
  }
}

// A hundred kilobytes of the same thing, for every name: quadratic time would take minutes, a
// recursion would crash.
TEST(PreTokenizerTest, LongRunsAreHandled) {
  for (const PreTokenizerTraits& row : KnownPreTokenizers()) {
    const PreTokenizer pretokenizer = Make(row.stages, true);
    for (const std::string_view unit :
         {"a", " ", "1", "A", "\n", "!", "é", "a b", "aB", " \n", "'s", "\u0301", "中"}) {
      std::string text;
      while (text.size() < 100000) text += unit;
      std::vector<size_t> ends;
      pretokenizer.Split(text, &ends);
      ASSERT_TRUE(std::is_sorted(ends.begin(), ends.end())) << row.name;
      ASSERT_EQ(ends.back(), text.size()) << row.name << " '" << unit << "'";
    }
  }
}

TEST(PreTokenizerTest, Llama3) {
  EXPECT_THAT(SplitWith(Named("llama-bpe"), "Hello, y'ALL! I'M  here 12345\n\n  x"),
              ElementsAre("Hello", ",", " y", "'ALL", "!", " I", "'M", " ", " here", " ", "123",
                          "45", "\n\n", " ", " x"));
}

TEST(PreTokenizerTest, Gpt2) {
  EXPECT_THAT(SplitWith(Named("gpt-2"), "it's 12345 \n\nok?!  "),
              ElementsAre("it", "'s", " 12345", " \n", "\n", "ok", "?!", "  "));
}

TEST(PreTokenizerTest, O200kCutsAtLetterCase) {
  EXPECT_THAT(SplitWith(Named("gpt-4o"), "getHTTPResponse don't ПриветМир नमस्ते/\n"),
              ElementsAre("get", "HTTPResponse", " don't", " Привет", "Мир", " नमस्ते", "/\n"));
  EXPECT_THAT(SplitWith(Named("tekken"), "don't 123"),
              ElementsAre("don", "'t", " ", "1", "2", "3"));
}

TEST(PreTokenizerTest, KimiSeparatesHan) {
  EXPECT_THAT(SplitWith(Named("kimi-k2"), "我在apple工作1234天"),
              ElementsAre("我在", "apple", "工作", "123", "4", "天"));
}

TEST(PreTokenizerTest, DigitsFromTheRight) {
  EXPECT_THAT(SplitWith(Named("superbpe"), "a 1234567b"),
              ElementsAre("a ", "1", "234", "567", "b"));
  EXPECT_THAT(SplitWith(Named("tiny_aya"), "1234567 x1234x"),
              ElementsAre("1", "234", "567", " x", "123", "4", "x"));
}

TEST(PreTokenizerTest, Deepseek3) {
  EXPECT_THAT(
      SplitWith(Named("deepseek-v3"), "x+=1234; ~~foo 中文かな!!\n\nbar"),
      ElementsAre("x", "+=", "123", "4", ";", " ~~", "foo", " ", "中文かな", "!!\n\n", "bar"));
}

}  // namespace
}  // namespace puna::tokenizer
