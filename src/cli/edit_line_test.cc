#include "cli/edit_line.h"

#include <gtest/gtest.h>

#include <random>

namespace puna::cli {
namespace {

constexpr const char* kFamily = "👨‍👩‍👧";
constexpr const char* kThumb = "👍🏽";
constexpr const char* kAccent = "e\u0301";

// The text with | where the cursor is.
std::string Marked(const EditLine& line) {
  std::string text = line.text();
  return text.insert(line.cursor(), "|");
}

EditLine LineOf(const std::string& marked) {
  const size_t at = marked.find('|');
  EditLine line;
  line.Set(marked.substr(at + 1));
  while (line.cursor() > 0) line.Left();
  line.Insert(marked.substr(0, at));
  return line;
}

TEST(EditLineTest, CharactersAreWhatReadersTakeForOne) {
  for (const char* character : {"a", "日", kFamily, kThumb, kAccent, "🇫🇷", "각", "❤️", "\n"}) {
    EXPECT_EQ(CharacterBytes(std::string(character) + "x"), std::string(character).size());
    EditLine line;
    line.Set(std::string("x") + character + "y");
    line.Left();
    line.Left();
    EXPECT_EQ(Marked(line), std::string("x|") + character + "y");
    line.Right();
    line.DeleteLeft();
    EXPECT_EQ(Marked(line), "x|y");
  }
}

TEST(EditLineTest, AnAccentJoinsTheCharacterBeforeIt) {
  EditLine line = LineOf("ae|b");
  line.Insert("\u0301");
  line.DeleteLeft();
  EXPECT_EQ(Marked(line), "a|b");
}

TEST(EditLineTest, Words) {
  EditLine line = LineOf("one, two-three|");
  line.WordLeft();
  EXPECT_EQ(Marked(line), "one, two-|three");
  line.DeleteWordLeft();
  EXPECT_EQ(Marked(line), "one, |three");
  line.Yank();
  EXPECT_EQ(Marked(line), "one, two-|three");
  line.DeleteToSpace();
  EXPECT_EQ(Marked(line), "one, |three");
  line.DeleteWordRight();
  EXPECT_EQ(Marked(line), "one, |");
  line = LineOf("日本 語|");
  line.WordLeft();
  line.WordLeft();
  EXPECT_EQ(Marked(line), "|日本 語");
  line.WordRight();
  EXPECT_EQ(Marked(line), "日本| 語");
}

TEST(EditLineTest, LinesOfAText) {
  EditLine line = LineOf("first\nse|cond\nthird");
  line.Home();
  EXPECT_EQ(Marked(line), "first\n|second\nthird");
  line.End();
  EXPECT_EQ(Marked(line), "first\nsecond|\nthird");
  EXPECT_TRUE(line.Up());
  EXPECT_EQ(Marked(line), "first|\nsecond\nthird");
  EXPECT_FALSE(line.Up());
  EXPECT_TRUE(line.Down());
  EXPECT_TRUE(line.Down());
  EXPECT_EQ(Marked(line), "first\nsecond\nthird|");
  EXPECT_FALSE(line.Down());
  line.DeleteToStart();
  EXPECT_EQ(Marked(line), "first\nsecond\n|");
  line.DeleteLeft();
  line.Home();
  line.DeleteToEnd();
  EXPECT_EQ(Marked(line), "first\n|");
}

TEST(EditLineTest, RowsBreakWhereTheyAreFull) {
  const RowLayout layout = LayOut("> ", "abcdef日本\nx\x01", 4, 6);
  EXPECT_EQ(layout.rows, (std::vector<std::string>{"> abcd", "ef日本", "x^A"}));
  EXPECT_EQ(layout.cursor_row, 1u) << "a full row is left at once";
  EXPECT_EQ(layout.before_cursor, "");
  const RowLayout wide = LayOut("", "abc日", 3, 4);
  EXPECT_EQ(wide.rows, (std::vector<std::string>{"abc", "日"}));
  EXPECT_EQ(wide.cursor_row, 1u) << "where the character is that the cursor is on";
  const RowLayout end = LayOut("> ", "abcd", 4, 6);
  EXPECT_EQ(end.rows, (std::vector<std::string>{"> abcd", ""}));
  EXPECT_EQ(end.cursor_row, 1u);
}

TEST(EditLineTest, NoRowIsWiderThanTheTerminal) {
  std::mt19937 random(5);
  const std::string pieces[] = {"a",  " ",  "日",   kFamily, kThumb,  kAccent,
                                "\t", "\n", "\x01", "\xff",  "❤️"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += pieces[random() % std::size(pieces)];
    EditLine line;
    line.Set(text);
    const int width = static_cast<int>(20 + random() % 20);
    for (size_t steps = 0; steps < 60; ++steps) {
      const RowLayout layout = LayOut(">>> ", text, line.cursor(), width);
      for (const int columns : layout.widths) ASSERT_LE(columns, width) << text;
      ASSERT_LT(layout.cursor_row, layout.rows.size());
      ASSERT_TRUE(layout.rows[layout.cursor_row].starts_with(layout.before_cursor)) << text;
      line.Left();
    }
    EXPECT_EQ(line.cursor(), 0u);
  }
}

}  // namespace
}  // namespace puna::cli
