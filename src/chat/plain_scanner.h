// Values as Python and Gemma write them: where one ends in a stream, and what it says.
#ifndef PUNA_CHAT_PLAIN_SCANNER_H_
#define PUNA_CHAT_PLAIN_SCANNER_H_

#include <optional>
#include <string>
#include <string_view>

#include "chat/chat.h"

namespace puna::chat {

// The end of a text in brackets, byte by byte. Brackets inside strings do not count. Constant work
// per byte.
class PlainScanner {
 public:
  enum class State : uint8_t { kMore, kDone, kInvalid };
  // Python: a name and its parentheses, or a list of such in brackets.
  static PlainScanner OfPythonCalls();
  // {key:value,...} with `quote` on both sides of strings.
  static PlainScanner OfPlainObject(std::string_view quote);
  PlainScanner() = default;

  State Feed(char c);
  const std::string& text() const { return text_; }

 private:
  State FeedHead(char c);
  State FeedBrackets(char c);

  bool is_python_ = false;
  std::string quote_;
  std::string text_;
  std::string open_;      // the brackets that are to be closed
  char string_ends_ = 0;  // Python: inside a string, which ends with this
  bool escaped_ = false;
  bool in_quote_ = false;  // Gemma: inside a string
  size_t quote_matched_ = 0;
  bool in_head_ = true;  // before the first parenthesis
};

// What ended with kDone, as calls; false where it is none.
bool ParsePythonCalls(std::string_view text, std::vector<ToolCall>* calls);
std::optional<Json> ParsePlainObject(std::string_view text, std::string_view quote);
// A value as Python or JSON write it, and nothing behind it.
std::optional<Json> ParsePythonValue(std::string_view text);

}  // namespace puna::chat

#endif  // PUNA_CHAT_PLAIN_SCANNER_H_
