// The scenarios in which servers are compared, by name, each printing rows of one table.
#ifndef PUNA_BENCH_SERVE_SCENARIOS_H_
#define PUNA_BENCH_SERVE_SCENARIOS_H_

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client.h"

namespace puna::bench {

struct Timed {
  double delay_s = 0;
  Question question;
};

// Asks all, each after its delay; returns when all have ended.
std::vector<Answer> AskAll(const Target& target, const std::vector<Timed>& questions);
Answer AskOne(const Target& target, const Question& question);

struct BenchOptions {
  Target target;
  double temperature = 0;
  double seconds = 60;      // of the scenario with random arrivals
  double capacity = 1;      // its requests a second at full load
  bool stream = true;       // false: answers are asked for whole
  double reading = 0;       // seconds between an answer of S5 and the next question
  int64_t requests = 2000;  // of the crowd
  int64_t streams = 200;    // of it at once
  int64_t idle = 1000;      // connections beside it that say nothing
  std::string start;        // command that starts the server, for the cold start
  bool json = false;
};

class Bench {
 public:
  explicit Bench(BenchOptions options) : options_(std::move(options)) {}
  const BenchOptions& options() const { return options_; }
  const Target& target() const { return options_.target; }

  // Learns how many tokens a word of Text is. False with the reason if the server does not answer.
  std::optional<std::string> Calibrate();
  // About `tokens` tokens that begin with nothing else's beginning (for another `seed`).
  std::string Text(int64_t tokens, uint64_t seed) const;
  Question Ask(std::string text, int64_t max_tokens) const;

  // A row about answers that came side by side.
  void Row(std::string_view scenario, std::span<const Answer> answers);
  // A line below the row.
  void Note(std::string_view text) const;

 private:
  BenchOptions options_;
  double tokens_per_word_ = 1, tokens_around_ = 0;
  bool head_printed_ = false;
};

double Percentile(std::vector<double> values, double percent);

struct Scenario {
  std::string_view name, what;
  void (*run)(Bench& bench);
};
std::span<const Scenario> Scenarios();

}  // namespace puna::bench

#endif  // PUNA_BENCH_SERVE_SCENARIOS_H_
