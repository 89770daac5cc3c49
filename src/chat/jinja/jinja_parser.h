// Tokens to Program. Thread safe, no state.
#ifndef PUNA_CHAT_JINJA_JINJA_PARSER_H_
#define PUNA_CHAT_JINJA_JINJA_PARSER_H_

#include <memory>
#include <string_view>

#include "base/result.h"
#include "chat/jinja/jinja_ast.h"

namespace puna::chat::jinja {

// Fails with kInvalidArgument ("line N: ...") for what Python's Jinja refuses to compile, unknown
// filters and tests included (inside an `if` they are an error only when reached, as there), and
// with kResourceExhausted beyond 4 MiB.
Result<std::unique_ptr<const Program>> Parse(std::string_view source);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_PARSER_H_
