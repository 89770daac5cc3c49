// Answers that are told as typed server-sent events: Anthropic's messages, OpenAI's responses.
// The dialect builds its object and the events; the way to the client is one.
#ifndef PUNA_API_ANSWER_EVENTS_H_
#define PUNA_API_ANSWER_EVENTS_H_

#include <string>
#include <utility>
#include <vector>

#include "api/call.h"
#include "api/generation.h"

namespace puna::api {

using AnswerEvent = std::pair<std::string, Json>;  // type and data
using AnswerEvents = std::vector<AnswerEvent>;     // in the order to send

// Builds the object of an answer and, on the way, the events that tell it. Begin comes first, then
// Add for each delta, then one of Finish and Fail.
class AnswerBuilder {
 public:
  virtual ~AnswerBuilder() = default;
  virtual AnswerEvents Begin() = 0;
  virtual AnswerEvents Add(const GenerationDelta& delta) = 0;
  virtual AnswerEvents Finish(const engine::GenerationStats& stats) = 0;
  virtual AnswerEvents Fail(const Error& error) = 0;
  // What says that the stream lives while a long prompt is computed; may be nothing.
  virtual AnswerEvents Ping() { return {}; }
  virtual const Json& object() const = 0;
};

// Runs `generation` to its end and answers with `builder`'s events, or with its object alone where
// `stream` is false. `render_only`: only the prompt that the template made, with the object.
http::Task<void> SendAnswer(Call& call, Generation& generation, AnswerBuilder& builder, bool stream,
                            bool render_only);

}  // namespace puna::api

#endif  // PUNA_API_ANSWER_EVENTS_H_
