// A text with a cursor, as it is edited, and how it lies on the rows of a terminal. No terminal is
// touched here. Not thread safe.
#ifndef PUNA_CLI_EDIT_LINE_H_
#define PUNA_CLI_EDIT_LINE_H_

#include <string>
#include <string_view>
#include <vector>

namespace puna::cli {

// The cursor stands between what a reader takes for characters: a letter with its accents, or an
// emoji of several codepoints, is one.
class EditLine {
 public:
  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }  // in bytes
  // Replaces everything; the cursor is at the end.
  void Set(std::string text);
  void Insert(std::string_view text);

  void Left() { cursor_ = Before(cursor_); }
  void Right() { cursor_ = After(cursor_); }
  // Words are runs of letters and digits of any script.
  void WordLeft() { cursor_ = WordBefore(); }
  void WordRight() { cursor_ = WordAfter(); }
  void Home();  // of the line, if there are several
  void End();
  // To the line above or below, as far right as before; false if there is none.
  bool Up();
  bool Down();

  // What is deleted by words or lines can be put back by Yank.
  void DeleteLeft() { Erase(Before(cursor_), cursor_); }
  void DeleteRight() { Erase(cursor_, After(cursor_)); }
  void DeleteWordLeft() { Kill(WordBefore(), cursor_); }
  void DeleteWordRight() { Kill(cursor_, WordAfter()); }
  void DeleteToSpace();  // back to the space before the cursor
  void DeleteToStart();  // of the line
  void DeleteToEnd();
  void Yank() { Insert(killed_); }

 private:
  size_t Before(size_t at) const;  // where the character before `at` begins
  size_t After(size_t at) const;
  size_t WordBefore() const;
  size_t WordAfter() const;
  size_t LineStart(size_t at) const;
  size_t LineEnd(size_t at) const;
  void Erase(size_t begin, size_t end);
  void Kill(size_t begin, size_t end);

  std::string text_, killed_;
  size_t cursor_ = 0;
};

// A text on the rows of a terminal.
struct RowLayout {
  std::vector<std::string> rows;  // as they are printed: control characters made visible
  std::vector<int> widths;        // columns that each takes at most
  size_t cursor_row = 0;
  int cursor_column = 0;
  std::string before_cursor;  // of its row: printing it leads to the cursor
};
// Columns are counted as the terminal counts that shows most of them: some show emoji of several
// parts side by side. So a row never becomes two. `cursor`: bytes of `text`, which follows the
// prompt.
RowLayout LayOut(std::string_view prompt, std::string_view text, size_t cursor, int width);

// The bytes of the first character of `text`; 0 at its end.
size_t CharacterBytes(std::string_view text);

}  // namespace puna::cli

#endif  // PUNA_CLI_EDIT_LINE_H_
