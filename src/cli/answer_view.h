// Prints an answer while it arrives: thinking in grey between its two lines, text broken at the
// width of the terminal, and at the end what it took.
#ifndef PUNA_CLI_ANSWER_VIEW_H_
#define PUNA_CLI_ANSWER_VIEW_H_

#include <string>

#include "base/json.h"
#include "cli/word_wrap.h"

namespace puna::cli {

struct AnswerStyle {
  bool terminal = false;   // standard output is one
  bool word_wrap = false;  // lines are broken at its width, also when that changes
  bool hide_thinking = false;
};

// Writes to standard output. Not thread safe.
class AnswerView {
 public:
  explicit AnswerView(const AnswerStyle& style);
  void Thinking(const std::string& text);
  void Content(const std::string& text);
  // Ends thinking and line. Call it once, also after an error or an interruption.
  void Finish();
  const std::string& content() const { return content_; }
  const std::string& thinking() const { return thinking_; }

 private:
  void Print(const std::string& text);
  void PrintWrapped(std::string_view text);
  void EndThinking();
  AnswerStyle style_;
  WordWrapper wrapper_;
  std::string content_, thinking_;
  bool in_thinking_ = false;
};

// The lines of --verbose from the last object of a stream.
std::string FormatTimings(const Json& final_object);

}  // namespace puna::cli

#endif  // PUNA_CLI_ANSWER_VIEW_H_
