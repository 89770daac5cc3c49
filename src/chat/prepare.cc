#include "chat/prepare.h"

namespace puna::chat {

std::vector<Message> WithImageMarkers(const std::vector<Message>& messages) {
  static constexpr std::string_view kPlaceholder = "[img]";
  std::vector<Message> marked;
  marked.reserve(messages.size());
  size_t image_id = 0;
  for (const Message& message : messages) {
    Message& copy = marked.emplace_back();
    copy.role = message.role;
    copy.thinking = message.thinking;
    copy.tool_calls = message.tool_calls;
    copy.tool_name = message.tool_name;
    copy.tool_call_id = message.tool_call_id;
    std::string before;
    std::string text;
    size_t at = 0;
    for (size_t i = 0; i < message.images.size(); ++i) {
      const std::string marker = fmt::format("[img-{}]", image_id++);
      const size_t place = message.content.find(kPlaceholder, at);
      if (place == std::string::npos) {
        before += marker;
        continue;
      }
      text.append(message.content, at, place - at).append(marker);
      at = place + kPlaceholder.size();
    }
    copy.content = before + text + message.content.substr(at);
  }
  return marked;
}

const Message* ContinuedMessage(const std::vector<Message>& messages) {
  if (messages.empty()) return nullptr;
  const Message& last = messages.back();
  if (last.role != "assistant" || !last.tool_calls.empty()) return nullptr;
  return last.content.empty() && last.thinking.empty() ? nullptr : &last;
}

}  // namespace puna::chat
