#include "tokenizer/text_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace puna::tokenizer {
namespace {

TEST(TextTable, FindsTheFirstOfEqualTextsAndNothingElse) {
  std::mt19937 random(1);
  TextList texts;
  TextTable table(&texts);
  EXPECT_EQ(table.Find("a"), TextTable::kAbsent);
  std::map<std::string, size_t> first;
  const auto any_text = [&] {
    std::string text(random() % 12, 0);
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    return text;
  };
  for (size_t number = 0; number < 20000; ++number) {
    const std::string text = any_text();
    texts.Append(text);
    EXPECT_EQ(table.Insert(number), first.try_emplace(text, number).second) << text;
  }
  EXPECT_EQ(table.size(), first.size());
  for (const auto& [text, number] : first)
    EXPECT_EQ(table.Find(text), static_cast<int32_t>(number)) << text;
  for (int i = 0; i < 20000; ++i) {
    const std::string text = any_text();
    EXPECT_EQ(table.Find(text) != TextTable::kAbsent, first.contains(text)) << text;
  }
  EXPECT_EQ(table.Find(std::string(100000, 'a')), TextTable::kAbsent);
}

TEST(TextList, KeepsTextsApart) {
  TextList texts;
  for (const std::string_view text : {"one", "", "three"}) texts.Append(text);
  texts.ShrinkToFit();
  EXPECT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts.bytes(), 8u);
  EXPECT_EQ(texts[0], "one");
  EXPECT_EQ(texts[1], "");
  EXPECT_EQ(texts[2], "three");
}

}  // namespace
}  // namespace puna::tokenizer
