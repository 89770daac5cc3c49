// What both template languages do to a conversation before it is rendered.
#ifndef PUNA_CHAT_PREPARE_H_
#define PUNA_CHAT_PREPARE_H_

#include <vector>

#include "chat/chat.h"

namespace puna::chat {

// The messages with "[img-N]" in their text for each image: in place of "[img]" as long as there is
// one, else before the text.
std::vector<Message> WithImageMarkers(const std::vector<Message>& messages);

}  // namespace puna::chat

#endif  // PUNA_CHAT_PREPARE_H_
