// What both template languages do to a conversation before it is rendered.
#ifndef PUNA_CHAT_PREPARE_H_
#define PUNA_CHAT_PREPARE_H_

#include <vector>

#include "chat/chat.h"

namespace puna::chat {

// The messages with "[img-N]" in their text for each image: in place of "[img]" as long as there is
// one, else before the text.
std::vector<Message> WithImageMarkers(const std::vector<Message>& messages);

// The message at the end that is the beginning of the answer: one of the assistant's with text and
// without calls. Null if there is none.
const Message* ContinuedMessage(const std::vector<Message>& messages);

}  // namespace puna::chat

#endif  // PUNA_CHAT_PREPARE_H_
