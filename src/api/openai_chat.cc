// POST /v1/chat/completions
#include <random>

#include "api/errors.h"
#include "api/openai_types.h"
#include "api/routes.h"

namespace puna::api {
namespace {

// What all chunks of an answer have in common.
struct Head {
  std::string id;
  int64_t created = 0;
  std::string model;
};

Head MakeHead(const std::string& model) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {fmt::format("chatcmpl-{}", random() % 1'000'000'000),
          std::chrono::duration_cast<std::chrono::seconds>(now).count(), model};
}

Json Envelope(const Head& head, const char* object, Json choices) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", "fp_ollama"},
          {"choices", std::move(choices)}};
}

Json Choice(const char* field, Json message, Json finish_reason) {
  Json choice = {{"index", 0}, {field, std::move(message)}};
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

http::Task<void> SendOpenAiError(Call& call, Error error) {
  Json body = OpenAiError(error);
  co_await SendJson(call, HttpStatus(error.code), std::move(body));
}

http::Task<void> WriteEvent(Call& call, Json json) {
  std::string event = "data: " + DumpJson(json) + "\n\n";
  co_await call.writer.Write(std::move(event));
}

// The chunks of one delta. Thinking and content never share one.
std::vector<Json> DeltaChunks(const Head& head, const GenerationDelta& delta, bool* role_sent) {
  std::vector<Json> chunks;
  const auto add = [&](Json fields) {
    Json message = Json::object();
    if (!*role_sent) message["role"] = "assistant";
    *role_sent = true;
    message.update(fields);
    Json choice = Choice("delta", std::move(message), nullptr);
    Json choices = Json::array();
    choices.push_back(std::move(choice));
    chunks.push_back(Envelope(head, "chat.completion.chunk", std::move(choices)));
  };
  if (!delta.thinking.empty()) add({{"content", ""}, {"reasoning", delta.thinking}});
  if (!delta.tool_calls.empty())
    add({{"content", ""}, {"tool_calls", OpenAiToolCalls(delta.tool_calls)}});
  if (!delta.content.empty() || (delta.thinking.empty() && delta.tool_calls.empty()))
    add({{"content", delta.content}});
  if (!delta.logprobs.empty())
    chunks.back()["choices"][0]["logprobs"] = OpenAiLogprobs(delta.logprobs);
  return chunks;
}

http::Task<void> AnswerStream(Call& call, Generation& generation, Head head, bool include_usage) {
  bool role_sent = false;
  while (true) {
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!next && !call.writer.started()) co_return co_await SendOpenAiError(call, next.error());
    if (!call.writer.started()) co_await call.writer.StartStream(200, "text/event-stream");
    if (!next) {
      Json error = OpenAiError(next.error());
      co_await WriteEvent(call, std::move(error));
      co_return co_await call.writer.Finish();
    }
    if (!next->has_value()) break;
    for (Json& chunk : DeltaChunks(head, **next, &role_sent))
      co_await WriteEvent(call, std::move(chunk));
  }
  Json last_choices = Json::array();
  last_choices.push_back(Choice("delta", Json::object(), FinishReasonOf(generation)));
  Json last = Envelope(head, "chat.completion.chunk", std::move(last_choices));
  co_await WriteEvent(call, std::move(last));
  if (include_usage) {
    Json usage = Envelope(head, "chat.completion.chunk", Json::array());
    usage["usage"] = UsageJson(generation.stats());
    co_await WriteEvent(call, std::move(usage));
  }
  co_await call.writer.Write("data: [DONE]\n\n");
  co_await call.writer.Finish();
}

http::Task<void> AnswerWhole(Call& call, Generation& generation, Head head) {
  GenerationDelta all;
  while (true) {
    Result<std::optional<GenerationDelta>> next = co_await generation.Next();
    if (!next) co_return co_await SendOpenAiError(call, next.error());
    if (!next->has_value()) break;
    all.Append(**std::move(next));
  }
  Json message = {{"role", "assistant"}, {"content", all.content}};
  if (!all.thinking.empty()) message["reasoning"] = all.thinking;
  if (!all.tool_calls.empty()) message["tool_calls"] = OpenAiToolCalls(all.tool_calls);
  Json choice = Choice("message", std::move(message), FinishReasonOf(generation));
  if (!all.logprobs.empty()) choice["logprobs"] = OpenAiLogprobs(all.logprobs);
  Json choices = Json::array();
  choices.push_back(std::move(choice));
  Json body = Envelope(head, "chat.completion", std::move(choices));
  body["usage"] = UsageJson(generation.stats());
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace

http::Task<void> HandleChatCompletions(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendOpenAiError(call, json.error());
  Result<ChatCompletionsRequest> request = ReadChatCompletionsRequest(*json);
  if (!request) co_return co_await SendOpenAiError(call, request.error());
  Head head = MakeHead(request->generation.model);
  auto generation = co_await Generation::Start(call.services, std::move(request->generation));
  if (!generation) co_return co_await SendOpenAiError(call, generation.error());
  TellTruncation(call, **generation);
  call.writer.OnClientGone((*generation)->Canceller());
  if (request->stream) {
    co_await AnswerStream(call, **generation, std::move(head), request->include_usage);
  } else {
    co_await AnswerWhole(call, **generation, std::move(head));
  }
}

}  // namespace puna::api
