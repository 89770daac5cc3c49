// One streamed request to a server of language models, and when its pieces arrived. Speaks OpenAI's
// chat completions, which puna, Ollama and llama-server have, and Ollama's own chat.
#ifndef PUNA_BENCH_SERVE_CLIENT_H_
#define PUNA_BENCH_SERVE_CLIENT_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace puna::bench {

template <typename T>
using Task = boost::asio::awaitable<T>;
using Clock = std::chrono::steady_clock;

struct Target {
  std::string host = "127.0.0.1";
  uint16_t port = 11434;
  std::string model;
  bool native = false;  // Ollama's /api/chat instead of OpenAI's route
};

struct Message {
  std::string role, content;
};

struct Question {
  std::vector<Message> messages;
  int64_t max_tokens = 128;
  Json options = Json::object();  // further fields: temperature, seed, response_format ...
  bool stream = true;             // false: the whole answer at once
  // Stop reading after so many pieces and hang up; 0: read to the end.
  int64_t hang_up_after = 0;
};

struct Answer {
  int status = 0;     // 0: no answer at all
  std::string error;  // what went wrong, if something did
  std::string text;
  Clock::time_point sent;
  std::vector<Clock::time_point> pieces;  // when each piece of text arrived
  Clock::time_point ended;
  int64_t prompt_tokens = 0, tokens = 0;  // as the server counts
  int64_t cached_tokens = -1;             // of the prompt, not computed again; -1: it does not say

  // From the first token to the last by the server's own account (llama-server's timings).
  std::optional<double> generate_seconds;

  bool ok() const { return status == 200 && error.empty(); }
  // In seconds. llama-server sends nothing for tokens without text, and a vocabulary that was made
  // up may have no others: then what its own account leaves of the total.
  std::optional<double> first_token() const {
    if (!pieces.empty()) return Seconds(sent, pieces.front());
    if (generate_seconds) return total() - *generate_seconds;
    return std::nullopt;
  }
  double total() const { return Seconds(sent, ended); }
  // Between pieces, in seconds.
  std::vector<double> gaps() const;
  static double Seconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  }
};

Task<Answer> Ask(Target target, Question question);

// A plain exchange of JSON, for routes that do not stream. `status` 0: no answer.
struct Reply {
  int status = 0;
  std::string body;
  double seconds = 0;
};
Task<Reply> Post(Target target, std::string path, Json body);

}  // namespace puna::bench

#endif  // PUNA_BENCH_SERVE_CLIENT_H_
