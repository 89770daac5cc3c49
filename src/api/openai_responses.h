// The JSON of OpenAI's Responses API, to and from the internal form.
// https://platform.openai.com/docs/api-reference/responses. Nothing is stored: what refers to an
// earlier response is an error.
#ifndef PUNA_API_OPENAI_RESPONSES_H_
#define PUNA_API_OPENAI_RESPONSES_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/generation_request.h"
#include "engine/token_stream.h"

namespace puna::api {

struct ResponsesRequest {
  GenerationRequest generation;
  bool stream = false;
  Json echo = Json::object();  // fields of the request that the response repeats
};
Result<ResponsesRequest> ReadResponsesRequest(const Json& json);

// Builds the response object and, on the way, the events that tell it.
class ResponseBuilder {
 public:
  using Event = std::pair<std::string, Json>;  // type and data, in the order to send

  explicit ResponseBuilder(const ResponsesRequest& request);
  std::vector<Event> Begin();
  std::vector<Event> Add(const GenerationDelta& delta);
  // An answer that was cut off is "incomplete".
  std::vector<Event> Finish(const engine::GenerationStats& stats);
  std::vector<Event> Fail(const Error& error);
  const Json& response() const { return response_; }

 private:
  enum class Item { kNone, kReasoning, kMessage };
  void Emit(std::string type, Json data);
  void EmitInItem(std::string type, Json data);
  void Open(Item kind);
  void Close(const char* status);
  void AddText(Item kind, const std::string& text, const std::vector<LogprobEntry>& logprobs);
  void AddToolCall(const chat::ToolCall& call);
  std::vector<Event> TakeEvents() { return std::exchange(events_, {}); }

  Json response_;
  std::vector<Event> events_;
  int64_t sequence_number_ = 0;
  Item open_ = Item::kNone;
  Json item_;         // the open one
  std::string text_;  // and its text so far
  Json logprobs_ = Json::array();
};

}  // namespace puna::api

#endif  // PUNA_API_OPENAI_RESPONSES_H_
