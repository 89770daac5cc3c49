#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <cstdio>
#include <random>

#include "scenarios.h"

namespace puna::bench {

namespace asio = boost::asio;

std::vector<Answer> AskAll(const Target& target, const std::vector<Timed>& questions) {
  asio::io_context context(1);
  std::vector<Answer> answers(questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    asio::co_spawn(
        context,
        [&, i]() -> Task<void> {
          asio::steady_timer timer(context,
                                   std::chrono::duration_cast<Clock::duration>(
                                       std::chrono::duration<double>(questions[i].delay_s)));
          co_await timer.async_wait(asio::use_awaitable);
          answers[i] = co_await Ask(target, questions[i].question);
        },
        asio::detached);
  }
  context.run();
  return answers;
}

Answer AskOne(const Target& target, const Question& question) {
  return AskAll(target, {{0, question}})[0];
}

double Percentile(std::vector<double> values, double percent) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const double at = percent / 100 * static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::lround(at))];
}

Question Bench::Ask(std::string text, int64_t max_tokens) const {
  Question question;
  question.messages = {{"user", std::move(text)}};
  question.max_tokens = max_tokens;
  question.stream = options_.stream;
  question.options["temperature"] = options_.temperature;
  if (!options_.target.native) {
    question.options["seed"] = 1;
    question.options["ignore_eos"] = true;  // llama-server's; others leave it unread
  }
  return question;
}

std::string Bench::Text(int64_t tokens, uint64_t seed) const {
  static constexpr std::string_view kWords[] = {"river",  "stone",  "light",  "paper",  "green",
                                                "house",  "water",  "small",  "table",  "night",
                                                "music",  "horse",  "cloud",  "bread",  "glass",
                                                "winter", "garden", "letter", "summer", "window"};
  std::mt19937_64 random(seed * 7919 + 17);
  const auto words = static_cast<int64_t>(
      std::lround((static_cast<double>(tokens) - tokens_around_) / tokens_per_word_));
  std::string text;
  for (int64_t i = 0; i < std::max<int64_t>(1, words); ++i) {
    if (i > 0) text += ' ';
    text += kWords[random() % std::size(kWords)];
  }
  return text;
}

std::optional<std::string> Bench::Calibrate() {
  int64_t counts[2];
  for (const int i : {0, 1}) {
    const Answer answer = AskOne(target(), Ask(Text(i == 0 ? 40 : 240, 99), 1));
    if (!answer.ok()) return fmt::format("status {}: {}", answer.status, answer.error);
    counts[i] = answer.prompt_tokens;
  }
  if (counts[1] <= counts[0]) return "the server does not report prompt tokens";
  tokens_per_word_ = static_cast<double>(counts[1] - counts[0]) / 200;
  tokens_around_ = static_cast<double>(counts[0]) - 40 * tokens_per_word_;
  return std::nullopt;
}

void Bench::Note(std::string_view text) const {
  if (options_.json) {
    fmt::print("{}\n", Json{{"note", text}}.dump());
  } else {
    fmt::print("    {}\n", text);
  }
  std::fflush(stdout);
}

void Bench::Row(std::string_view scenario, std::span<const Answer> answers) {
  std::vector<double> first, gaps;
  int64_t failed = 0, prompt = 0, tokens = 0;
  Clock::time_point begin = Clock::time_point::max(), end = Clock::time_point::min();
  for (const Answer& answer : answers) {
    failed += !answer.ok();
    prompt += answer.prompt_tokens;
    tokens += answer.tokens;
    begin = std::min(begin, answer.sent);
    end = std::max(end, answer.ended);
    if (const auto seconds = answer.first_token()) first.push_back(1000 * *seconds);
    for (const double gap : answer.gaps()) gaps.push_back(1000 * gap);
  }
  const double rate = static_cast<double>(tokens) / Answer::Seconds(begin, end);
  if (options_.json) {
    const Json row = {{"scenario", scenario},
                      {"requests", answers.size()},
                      {"failed", failed},
                      {"prompt_tokens", prompt},
                      {"tokens", tokens},
                      {"tokens_per_second", rate},
                      {"first_token_ms",
                       {{"p50", Percentile(first, 50)},
                        {"p95", Percentile(first, 95)},
                        {"max", Percentile(first, 100)}}},
                      {"between_tokens_ms",
                       {{"p50", Percentile(gaps, 50)},
                        {"p95", Percentile(gaps, 95)},
                        {"p99", Percentile(gaps, 99)},
                        {"max", Percentile(gaps, 100)}}}};
    fmt::print("{}\n", row.dump());
    return;
  }
  if (!head_printed_) {
    fmt::print("{:<10}{:>6}{:>6}{:>9}{:>8}{:>9} |{:>8}{:>8}{:>8} |{:>8}{:>8}{:>8}{:>8}\n",
               "scenario", "asked", "fail", "in", "out", "out/s", "first50", "95", "max",
               "between50", "95", "99", "max");
    head_printed_ = true;
  }
  fmt::print(
      "{:<10}{:>6}{:>6}{:>9}{:>8}{:>9.1f} |{:>8.0f}{:>8.0f}{:>8.0f} |{:>9.1f}{:>8.1f}{:>8.1f}{:>8."
      "1f}\n",
      scenario, answers.size(), failed, prompt, tokens, rate, Percentile(first, 50),
      Percentile(first, 95), Percentile(first, 100), Percentile(gaps, 50), Percentile(gaps, 95),
      Percentile(gaps, 99), Percentile(gaps, 100));
  for (const Answer& answer : answers) {
    if (answer.ok()) continue;
    Note(fmt::format("failed: status {} {}", answer.status, answer.error.substr(0, 200)));
    break;
  }
  std::fflush(stdout);
}

}  // namespace puna::bench
