// Finds the end of a JSON value in a stream, byte by byte, and tells at the first wrong byte that
// it is none.
#ifndef PUNA_CHAT_JSON_SCANNER_H_
#define PUNA_CHAT_JSON_SCANNER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace puna::chat {

// White space between the parts of a JSON text (RFC 8259).
inline bool IsJsonSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// ParseJson, of a text with numbers that no double holds too: they become the largest one, as
// schemas allow numbers of any size.
Json ParseModelJson(std::string_view text);

// Objects and arrays only. Constant work per byte; nesting beyond 200 is refused. Accepts what
// models write and parsers refuse: raw control characters inside strings, which text() has escaped.
class JsonScanner {
 public:
  enum class State : uint8_t { kMore, kDone, kInvalid };

  // After kDone or kInvalid only Reset() is allowed.
  State Feed(char c);
  // The value so far, as standard JSON.
  const std::string& text() const { return text_; }
  bool started() const { return !text_.empty(); }
  void Reset() { *this = JsonScanner(); }

 private:
  enum class Expect : uint8_t {
    kStart,
    kValue,
    kValueOrEnd,
    kKey,
    kKeyOrEnd,
    kColon,
    kCommaOrEnd,
    kString,
    kEscape,
    kHex,
    kNumber,
    kWord,
  };

  State Value(char c, bool may_end);
  State Close(char c);
  State AfterValue();
  State Word(char c);
  State CommaOrEnd(char c);

  std::string text_;
  std::string open_;  // the brackets that are still to be closed
  Expect expect_ = Expect::kStart;
  bool in_key_ = false;
  int hex_left_ = 0;
  const char* word_ = "";  // rest of true, false or null
};

}  // namespace puna::chat

#endif  // PUNA_CHAT_JSON_SCANNER_H_
