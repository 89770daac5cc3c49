// The client must cost next to nothing beside the servers that it measures: one thread, a piece is
// parsed only as far as its text, and nothing is copied that need not be.
#include "client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <string_view>

namespace puna::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr auto kLongestWait = std::chrono::minutes(30);

Json BodyOf(const Target& target, const Question& question) {
  Json messages = Json::array();
  for (const Message& message : question.messages)
    messages.push_back({{"role", message.role}, {"content", message.content}});
  Json body = {
      {"model", target.model}, {"messages", std::move(messages)}, {"stream", question.stream}};
  if (target.native) {
    body["options"] = {{"num_predict", question.max_tokens}};
    body["options"].update(question.options);
  } else {
    body["max_tokens"] = question.max_tokens;
    if (question.stream) body["stream_options"] = {{"include_usage", true}};
    body.update(question.options);
  }
  return body;
}

// One line of the stream: "data: {...}" or "{...}". False at the end.
bool ReadLine(std::string_view line, Answer* answer) {
  if (line.starts_with("data: ")) line.remove_prefix(6);
  if (line.empty() || line == "[DONE]") return true;
  const Clock::time_point now = Clock::now();
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return true;
  if (json.contains("error")) {
    answer->error = json["error"].dump();
    return false;
  }
  std::string text;
  const auto append = [&](const Json& message, const char* name) {
    const auto it = message.find(name);
    if (it != message.end() && it->is_string()) text += it->get_ref<const std::string&>();
  };
  if (const auto choices = json.find("choices"); choices != json.end() && !choices->empty()) {
    const Json& choice = (*choices)[0];
    const Json delta = choice.value("delta", choice.value("message", Json::object()));
    for (const char* name : {"content", "reasoning", "reasoning_content"}) append(delta, name);
  }
  if (const auto message = json.find("message"); message != json.end()) {
    for (const char* name : {"content", "thinking"}) append(*message, name);
  }
  if (const auto usage = json.find("usage"); usage != json.end() && usage->is_object()) {
    answer->prompt_tokens = usage->value("prompt_tokens", answer->prompt_tokens);
    answer->tokens = usage->value("completion_tokens", answer->tokens);
    const auto details = usage->find("prompt_tokens_details");
    if (details != usage->end() && details->is_object())
      answer->cached_tokens = details->value("cached_tokens", answer->cached_tokens);
  }
  if (const auto timings = json.find("timings"); timings != json.end() && timings->is_object())
    answer->generate_seconds = timings->value("predicted_ms", 0.0) / 1000;
  answer->prompt_tokens = json.value("prompt_eval_count", answer->prompt_tokens);
  answer->tokens = json.value("eval_count", answer->tokens);
  if (text.empty()) return true;
  answer->text += text;
  answer->pieces.push_back(now);
  return true;
}

Task<error_code> Connect(const Target& target, beast::tcp_stream* stream) {
  error_code bad_address;
  const auto address = asio::ip::make_address(target.host, bad_address);
  if (bad_address) co_return bad_address;
  stream->expires_after(kLongestWait);
  const auto [error] =
      co_await stream->async_connect(asio::ip::tcp::endpoint(address, target.port), kNoThrow);
  co_return error;
}

http::request<http::string_body> MakeRequest(const Target& target, const std::string& path,
                                             const Json& body) {
  http::request<http::string_body> request(http::verb::post, path, 11);
  request.set(http::field::host, target.host);
  request.set(http::field::content_type, "application/json");
  request.body() = body.dump();
  request.prepare_payload();
  return request;
}

}  // namespace

std::vector<double> Answer::gaps() const {
  std::vector<double> gaps;
  for (size_t i = 1; i < pieces.size(); ++i) gaps.push_back(Seconds(pieces[i - 1], pieces[i]));
  return gaps;
}

Task<Answer> Ask(Target target, Question question) {
  Answer answer;
  answer.sent = Clock::now();
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  const error_code refused = co_await Connect(target, &stream);
  if (refused) {
    answer.error = refused.message();
    co_return answer;
  }
  const auto request = MakeRequest(target, target.native ? "/api/chat" : "/v1/chat/completions",
                                   BodyOf(target, question));
  const auto [unsent, sent_bytes] = co_await http::async_write(stream, request, kNoThrow);
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  const auto [headless, head_bytes] =
      co_await http::async_read_header(stream, buffer, parser, kNoThrow);
  if (unsent || headless) {
    answer.error = (unsent ? unsent : headless).message();
    answer.ended = Clock::now();
    co_return answer;
  }
  answer.status = static_cast<int>(parser.get().result_int());
  std::string pending;
  char piece[16384];
  bool more = true;
  while (more && !parser.is_done()) {
    parser.get().body() = {piece, sizeof piece, true};
    const auto [error, bytes] = co_await http::async_read_some(stream, buffer, parser, kNoThrow);
    pending.append(piece, sizeof piece - parser.get().body().size);
    for (size_t end; more && (end = pending.find('\n')) != std::string::npos;) {
      more = ReadLine(std::string_view(pending).substr(0, end), &answer);
      pending.erase(0, end + 1);
    }
    if (error && error != http::error::need_buffer) {
      if (error != http::error::end_of_stream) answer.error = error.message();
      break;
    }
    if (question.hang_up_after > 0 &&
        static_cast<int64_t>(answer.pieces.size()) >= question.hang_up_after) {
      break;
    }
  }
  if (more && !pending.empty()) ReadLine(pending, &answer);
  if (answer.status != 200 && answer.error.empty()) answer.error = pending;
  answer.ended = Clock::now();
  co_return answer;
}

Task<Reply> Post(Target target, std::string path, Json body) {
  Reply reply;
  const Clock::time_point begin = Clock::now();
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  if (co_await Connect(target, &stream)) co_return reply;
  const auto request = MakeRequest(target, path, body);
  const auto [unsent, sent_bytes] = co_await http::async_write(stream, request, kNoThrow);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  const auto [error, bytes] = co_await http::async_read(stream, buffer, parser, kNoThrow);
  if (unsent || error) co_return reply;
  reply.status = static_cast<int>(parser.get().result_int());
  reply.body = std::move(parser.get().body());
  reply.seconds = Answer::Seconds(begin, Clock::now());
  co_return reply;
}

}  // namespace puna::bench
