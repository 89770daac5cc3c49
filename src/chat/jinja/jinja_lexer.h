// Template text to tokens, with Jinja's white space rules as chat templates are run: blocks trimmed
// (the newline after a block goes), left-stripped (white space before a block at a line's start
// goes), one final newline dropped.
#ifndef PUNA_CHAT_JINJA_JINJA_LEXER_H_
#define PUNA_CHAT_JINJA_JINJA_LEXER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace puna::chat::jinja {

enum class TokenType : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  int line = 1;
  std::string text;  // data, name, operator, decoded string
  int64_t integer = 0;
  double real = 0;
};

// Errors are kInvalidArgument and name the line. The last token is kEnd.
Result<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_LEXER_H_
