// The JSON of OpenAI's Responses API, to and from the internal form.
// https://platform.openai.com/docs/api-reference/responses. Nothing is stored: what refers to an
// earlier response is an error.
#ifndef PUNA_API_OPENAI_RESPONSES_H_
#define PUNA_API_OPENAI_RESPONSES_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/answer_events.h"
#include "api/generation_request.h"
#include "api/tool_names.h"

namespace puna::api {

struct ResponsesRequest {
  GenerationRequest generation;
  ToolNames tool_names;
  Json echo = Json::object();  // fields of the request that the response repeats
};
Result<ResponsesRequest> ReadResponsesRequest(const Json& json);

class ResponseBuilder final : public AnswerBuilder {
 public:
  explicit ResponseBuilder(const ResponsesRequest& request);
  AnswerEvents Begin() override;
  AnswerEvents Add(const GenerationDelta& delta) override;
  // An answer that was cut off is "incomplete".
  AnswerEvents Finish(const engine::GenerationStats& stats) override;
  AnswerEvents Fail(const Error& error) override;
  const Json& object() const override { return response_; }

 private:
  enum class Item { kNone, kReasoning, kMessage };
  void Emit(std::string type, Json data);
  void EmitInItem(std::string type, Json data);
  void Open(Item kind);
  void Close(const char* status);
  void AddText(Item kind, const std::string& text, const std::vector<LogprobEntry>& logprobs);
  void AddToolCall(const chat::ToolCall& call);
  AnswerEvents TakeEvents() { return std::exchange(events_, {}); }

  ToolNames tool_names_;
  Json response_;
  AnswerEvents events_;
  int64_t sequence_number_ = 0;
  Item open_ = Item::kNone;
  Json item_;         // the open one
  std::string text_;  // and its text so far
  Json logprobs_ = Json::array();
};

}  // namespace puna::api

#endif  // PUNA_API_OPENAI_RESPONSES_H_
