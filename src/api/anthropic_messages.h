// The JSON of Anthropic's Messages API, to and from the internal form.
// https://docs.anthropic.com/en/api/messages
#ifndef PUNA_API_ANTHROPIC_MESSAGES_H_
#define PUNA_API_ANTHROPIC_MESSAGES_H_

#include <string>
#include <utility>
#include <vector>

#include "api/generation_request.h"
#include "engine/token_stream.h"

namespace puna::api {

struct MessagesRequest {
  GenerationRequest generation;
  bool stream = false;
  std::vector<std::string> stop_sequences;
};
// `counting`: of count_tokens, which has no max_tokens.
Result<MessagesRequest> ReadMessagesRequest(const Json& json, bool counting);

// Builds the message and, on the way, the events that tell it.
class MessageBuilder {
 public:
  using Event = std::pair<std::string, Json>;  // type and data, in the order to send

  MessageBuilder(const MessagesRequest& request, int64_t input_tokens);
  std::vector<Event> Begin();
  std::vector<Event> Add(const GenerationDelta& delta);
  std::vector<Event> Finish(const engine::GenerationStats& stats);
  const Json& message() const { return message_; }

 private:
  void Emit(const char* type, Json data);
  void Open(Json block);
  void Close();
  void AddText(const char* type, const std::string& text);
  void AddToolUse(const chat::ToolCall& call);
  std::vector<Event> TakeEvents() { return std::exchange(events_, {}); }

  std::vector<std::string> stop_sequences_;
  Json message_;
  std::vector<Event> events_;
  Json block_;  // the open one; null: none is
  bool tool_used_ = false;
};

}  // namespace puna::api

#endif  // PUNA_API_ANTHROPIC_MESSAGES_H_
