// Breaks streamed text between words at the width of the terminal.
#ifndef PUNA_CLI_WORD_WRAP_H_
#define PUNA_CLI_WORD_WRAP_H_

#include <string>
#include <string_view>

namespace puna::cli {

// Columns that valid UTF-8 takes on a terminal; control characters take none.
int DisplayWidth(std::string_view text);

// Text comes in pieces of whole characters and goes out as far as it is known where it stands: the
// last word is held back until it ends. Words longer than a line are cut. Blocks of code, between
// lines that begin with ```, stay as they are. Not thread safe.
class WordWrapper {
 public:
  // `width` in columns; 0: nothing is broken or held back.
  explicit WordWrapper(int width) : width_(width) {}
  std::string Push(std::string_view text);
  // For what comes from now on. Neither the width so far nor the new one may be 0.
  void SetWidth(int width) { width_ = width; }
  int width() const { return width_; }
  // The word that was held back.
  std::string Finish();
  // Whether something stands on the current line.
  bool in_line() const { return column_ > 0 || !word_.empty(); }

 private:
  void EndWord(std::string* out);
  void NoteLine(std::string_view character);
  int width_;
  int column_ = 0;  // where the next character goes
  std::string word_;
  int word_width_ = 0;
  bool in_code_ = false;
  std::string line_start_;  // the first letters of the line as it came, without leading spaces
};

}  // namespace puna::cli

#endif  // PUNA_CLI_WORD_WRAP_H_
