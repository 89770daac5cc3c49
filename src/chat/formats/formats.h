// The formats, each in the file of its name.
#ifndef PUNA_CHAT_FORMATS_FORMATS_H_
#define PUNA_CHAT_FORMATS_FORMATS_H_

#include <string>

#include "chat/tool_format.h"

namespace puna::chat {

ToolFormat HermesFormat();
ToolFormat Llama3Format();
ToolFormat MistralFormat();
ToolFormat PlainJsonFormat();
// For Go templates: the tag is the template's own (PromptTemplate::tool_call_tag).
ToolFormat GoTagFormat(const std::string& tag);

}  // namespace puna::chat

#endif  // PUNA_CHAT_FORMATS_FORMATS_H_
