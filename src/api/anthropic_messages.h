// The JSON of Anthropic's Messages API, to and from the internal form.
// https://docs.anthropic.com/en/api/messages
#ifndef PUNA_API_ANTHROPIC_MESSAGES_H_
#define PUNA_API_ANTHROPIC_MESSAGES_H_

#include <string>
#include <utility>
#include <vector>

#include "api/answer_events.h"
#include "api/generation_request.h"

namespace puna::api {

struct MessagesRequest {
  GenerationRequest generation;
  std::vector<std::string> stop_sequences;
};
// `counting`: of count_tokens, which has no max_tokens.
Result<MessagesRequest> ReadMessagesRequest(const Json& json, bool counting);

class MessageBuilder final : public AnswerBuilder {
 public:
  // `request_id` is in the event that tells a failure.
  MessageBuilder(const MessagesRequest& request, int64_t input_tokens, std::string request_id);
  AnswerEvents Begin() override;
  AnswerEvents Add(const GenerationDelta& delta) override;
  AnswerEvents Finish(const engine::GenerationStats& stats) override;
  AnswerEvents Fail(const Error& error) override;
  AnswerEvents Ping() override;
  const Json& object() const override { return message_; }

 private:
  void Emit(const char* type, Json data);
  void Open(Json block);
  void Close();
  void AddText(const char* type, const std::string& text);
  void AddToolUse(const chat::ToolCall& call);
  AnswerEvents TakeEvents() { return std::exchange(events_, {}); }

  std::vector<std::string> stop_sequences_;
  std::string request_id_;
  Json message_;
  AnswerEvents events_;
  Json block_;  // the open one; null: none is
  bool tool_used_ = false;
};

}  // namespace puna::api

#endif  // PUNA_API_ANTHROPIC_MESSAGES_H_
