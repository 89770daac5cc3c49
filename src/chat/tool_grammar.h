// Answers as grammars: what a model must write to call tools, or to answer in a given form.
#ifndef PUNA_CHAT_TOOL_GRAMMAR_H_
#define PUNA_CHAT_TOOL_GRAMMAR_H_

#include <string_view>

#include "base/result.h"
#include "chat/chat.h"
#include "grammar/grammar.h"

namespace puna::chat {

// What a model must write to call tools, for answers that have to be calls: `only` names the tool,
// "" any of options.tools; `several` allows more than one call. Thinking may come first.
// kInvalidArgument: no tool has that name. kUnsupported: the model's way of writing calls is not
// known well enough.
Result<grammar::Part> ToolCallsPart(const OutputOptions& options, std::string_view only,
                                    bool several, bool thinks);

// `answer` as the content of a message. Thinking is free: it comes first where the model thinks,
// or where the prompt or the format say so.
grammar::Part AnswerPart(grammar::Part answer, const OutputOptions& options, bool thinks);

}  // namespace puna::chat

#endif  // PUNA_CHAT_TOOL_GRAMMAR_H_
