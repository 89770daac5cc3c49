#include "scenarios.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <sstream>
#include <thread>

namespace puna::bench {
namespace {

namespace asio = boost::asio;

Reply PostOne(const Target& target, const std::string& path, const Json& body) {
  asio::io_context context(1);
  Reply reply;
  asio::co_spawn(
      context, [&]() -> Task<void> { reply = co_await Post(target, path, body); }, asio::detached);
  context.run();
  return reply;
}

// Times to the first token in milliseconds, in order, each with how many tokens of the prompt were
// computed for it: a template may make much of a short question.
std::string FirstTokens(std::span<const Answer> answers) {
  std::string text = "first token, ms (new tokens):";
  for (const Answer& answer : answers) {
    const auto seconds = answer.first_token();
    text += seconds ? fmt::format(" {:.0f}", 1000 * *seconds) : " -";
    if (answer.cached_tokens >= 0)
      text += fmt::format(" ({})", answer.prompt_tokens - answer.cached_tokens);
  }
  return text;
}

// Between tokens, without the wait for the first.
std::optional<double> SecondsPerToken(const Answer& answer) {
  const auto first = answer.first_token();
  if (!first || answer.tokens < 2) return std::nullopt;
  return (answer.total() - *first) / static_cast<double>(answer.tokens - 1);
}

void Single(Bench& bench) {
  std::vector<Answer> answers;
  for (uint64_t i = 0; i < 3; ++i)
    answers.push_back(AskOne(bench.target(), bench.Ask(bench.Text(512, 100 + i), 128)));
  for (const Answer& answer : answers) bench.Row("S1", {&answer, 1});
}

void EightStrangers(Bench& bench) {
  std::vector<Timed> questions;
  for (uint64_t i = 0; i < 8; ++i)
    questions.push_back({0, bench.Ask(bench.Text(256, 200 + i), 128)});
  bench.Row("S2", AskAll(bench.target(), questions));
}

// From the second round on the system prompt is known. A question of 64 tokens is itself most of
// the wait, so the last round asks shorter ones.
void SharedSystemPrompt(Bench& bench) {
  struct Round {
    const char* name;
    int64_t question;  // tokens
  };
  static constexpr Round kRounds[] = {{"S3 new", 64}, {"S3 known", 64}, {"S3 short", 8}};
  const std::string system = bench.Text(1000, 300);
  uint64_t seed = 310;
  for (const Round& round : kRounds) {
    std::vector<Timed> questions;
    for (uint64_t i = 0; i < 8; ++i) {
      Question question = bench.Ask(bench.Text(round.question, seed++), 32);
      question.messages.insert(question.messages.begin(), {"system", system});
      questions.push_back({0.2 * static_cast<double>(i), std::move(question)});
    }
    const std::vector<Answer> answers = AskAll(bench.target(), questions);
    bench.Row(round.name, answers);
    bench.Note(FirstTokens(answers));
  }
}

void LongPromptArrives(Bench& bench) {
  std::vector<Timed> questions;
  for (uint64_t i = 0; i < 3; ++i)
    questions.push_back({0, bench.Ask(bench.Text(64, 400 + i), 300)});
  questions.push_back({2, bench.Ask(bench.Text(4000, 410), 8)});
  const std::vector<Answer> answers = AskAll(bench.target(), questions);
  bench.Row("S4 readers", std::span(answers).first(3));
  bench.Row("S4 prompt", std::span(answers).subspan(3));
}

// Each turn sends the whole conversation again. Tokens of a question include what the template puts
// around it: 20 are some ten words.
void Conversation(Bench& bench) {
  Question talk[2] = {bench.Ask("", 48), bench.Ask("", 48)};
  for (Question& one : talk) one.messages.clear();
  std::vector<Answer> answers[2];
  uint64_t seed = 500;
  const auto turn = [&](size_t who, int64_t tokens) {
    talk[who].messages.push_back({"user", bench.Text(tokens, seed++)});
    answers[who].push_back(AskOne(bench.target(), talk[who]));
    talk[who].messages.push_back({"assistant", answers[who].back().text});
    std::this_thread::sleep_for(std::chrono::duration<double>(bench.options().reading));
  };
  turn(0, 4000);
  for (int i = 0; i < 5; ++i) turn(0, 20);
  for (int i = 0; i < 5; ++i) turn(0, 40);
  for (int i = 0; i < 4; ++i) {
    turn(1, i == 0 ? 1000 : 40);
    turn(0, 40);
  }
  bench.Row("S5 brief", std::span(answers[0]).subspan(1, 5));
  bench.Row("S5 one", std::span(answers[0]).subspan(6));
  bench.Note(FirstTokens(answers[0]));
  bench.Row("S5 other", answers[1]);
  bench.Note(FirstTokens(answers[1]));
}

void JsonSchema(Bench& bench) {
  const Json name = {{"type", "string"}};
  const Json schema = {{"type", "object"},
                       {"properties",
                        {{"name", name},
                         {"age", {{"type", "integer"}}},
                         {"address",
                          {{"type", "object"},
                           {"properties", {{"street", name}, {"city", name}}},
                           {"required", {"street", "city"}}}},
                         {"tags", {{"type", "array"}, {"items", name}}}}},
                       {"required", {"name", "age", "address", "tags"}}};
  std::vector<double> medians;
  for (const bool constrained : {false, true, false, true}) {
    Question question = bench.Ask(bench.Text(100, 600), 200);
    if (constrained) {
      question.options["response_format"] = {
          {"type", "json_schema"}, {"json_schema", {{"name", "person"}, {"schema", schema}}}};
    }
    const Answer answer = AskOne(bench.target(), question);
    bench.Row(constrained ? "S6 schema" : "S6 free", {&answer, 1});
    if (const auto seconds = SecondsPerToken(answer)) medians.push_back(*seconds);
  }
  if (medians.size() < 4) return;
  bench.Note(fmt::format("time per token with a schema: {:.3f} of that without",
                         (medians[1] + medians[3]) / (medians[0] + medians[2])));
}

// Replaces every `nth` word.
std::string WithOtherWords(const std::string& text, int64_t nth) {
  std::istringstream in(text);
  std::string out, word;
  for (int64_t i = 1; in >> word; ++i) {
    if (!out.empty()) out += ' ';
    out += i % nth == 0 ? "window" : word;
  }
  return out;
}

// A new text, and then the same text again with the prompt holding most of it: what is right there
// can be guessed. For models that answer alike to both questions.
void Editing(Bench& bench) {
  const std::string task = "Write a text. ";
  const Answer fresh = AskOne(bench.target(), bench.Ask(task, 300));
  bench.Row("S7 new", {&fresh, 1});
  const Answer edited =
      AskOne(bench.target(), bench.Ask(WithOtherWords(fresh.text, 25) + "\n" + task, 300));
  bench.Row("S7 edited", {&edited, 1});
  if (fresh.text != edited.text) {
    bench.Note("the two texts differ, so that this says little of guesses");
  } else if (const auto before = SecondsPerToken(fresh), now = SecondsPerToken(edited);
             before && now) {
    bench.Note(fmt::format("the text that is there already: {:.2f} times as fast", *before / *now));
  }
}

// Exponential times between arrivals, at a fifth, a half and all of the capacity.
void RandomArrivals(Bench& bench) {
  for (const double load : {0.2, 0.5, 1.0}) {
    std::mt19937_64 random(800);
    std::exponential_distribution<double> pause(load * bench.options().capacity);
    std::vector<Timed> questions;
    for (double at = pause(random); at < bench.options().seconds; at += pause(random)) {
      const auto seed = 800 + questions.size();
      questions.push_back({at, bench.Ask(bench.Text(200, seed), 64)});
    }
    if (questions.empty()) continue;
    const std::vector<Answer> answers = AskAll(bench.target(), questions);
    bench.Row(fmt::format("S8 {:.1f}", load), answers);
    const auto good = std::count_if(answers.begin(), answers.end(), [](const Answer& answer) {
      return answer.ok() && !answer.pieces.empty() && *answer.first_token() < 2 &&
             Percentile(answer.gaps(), 95) < 0.15;
    });
    bench.Note(
        fmt::format("{} of {} with a first token within 2 s and 95 % of the others within "
                    "150 ms",
                    good, answers.size()));
  }
}

int64_t ResidentBytes(pid_t process) {
  std::ifstream in(fmt::format("/proc/{}/smaps_rollup", process));
  std::string word;
  while (in >> word) {
    if (word != "Rss:") continue;
    int64_t kib = 0;
    in >> kib;
    return kib * 1024;
  }
  return 0;
}

// From the start of the process to the first token.
void ColdStart(Bench& bench) {
  if (bench.options().start.empty()) {
    bench.Note("S9 needs --start COMMAND, on a port where no server answers yet");
    return;
  }
  const Clock::time_point begin = Clock::now();
  const pid_t process = fork();
  if (process == 0) {
    setpgid(0, 0);
    execl("/bin/sh", "sh", "-c", ("exec " + bench.options().start).c_str(), nullptr);
    _exit(127);
  }
  Answer answer;
  while (Answer::Seconds(begin, Clock::now()) < 300 && !answer.ok()) {
    answer = AskOne(bench.target(), bench.Ask("Hello", 4));
    if (!answer.ok()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  answer.sent = begin;
  bench.Row("S9", {&answer, 1});
  bench.Note(
      fmt::format("{:.2f} GiB resident", static_cast<double>(ResidentBytes(process)) / (1 << 30)));
  kill(-process, SIGTERM);
  waitpid(process, nullptr, 0);
}

void Sampling(Bench& bench) {
  const Json settings[] = {{{"temperature", 0}},
                           {{"temperature", 0.8}, {"top_p", 0.95}, {"top_k", 0}},
                           {{"temperature", 0.8}, {"top_p", 0.95}, {"top_k", 40}}};
  const char* names[] = {"S10 greedy", "S10 all", "S10 40"};
  for (size_t i = 0; i < 3; ++i) {
    Question question = bench.Ask(bench.Text(100, 1000), 100);
    question.options.update(settings[i]);
    const Answer answer = AskOne(bench.target(), question);
    bench.Row(names[i], {&answer, 1});
  }
}

void TextsAtOnce(Bench& bench) {
  // A token is at least a byte, so enough of them, whatever the vocabulary.
  const std::string text = bench.Text(200'000, 1100).substr(0, 100'000);
  const std::string& model = bench.target().model;
  Reply tokens = PostOne(bench.target(), "/tokenize", {{"content", text}, {"model", model}});
  if (tokens.status == 404)
    tokens = PostOne(bench.target(), "/api/tokenize", {{"text", text}, {"model", model}});
  if (tokens.status == 200) {
    bench.Note(fmt::format("S11 tokenize: {} bytes in {:.1f} ms, {:.1f} MB/s", text.size(),
                           1000 * tokens.seconds,
                           static_cast<double>(text.size()) / 1e6 / tokens.seconds));
  } else {
    bench.Note(fmt::format("S11 tokenize: status {}", tokens.status));
  }
  Json texts = Json::array();
  for (uint64_t i = 0; i < 256; ++i) texts.push_back(bench.Text(40, 1200 + i));
  const Reply vectors = PostOne(bench.target(), "/v1/embeddings",
                                {{"model", bench.target().model}, {"input", texts}});
  if (vectors.status == 200) {
    bench.Note(fmt::format("S11 embed: 256 texts in {:.2f} s, {:.0f} texts/s", vectors.seconds,
                           256 / vectors.seconds));
  } else {
    bench.Note(fmt::format("S11 embed: status {} {}", vectors.status, vectors.body.substr(0, 100)));
  }
}

// Of connections that say nothing: how many the server has not closed.
int64_t CountOpen(std::vector<asio::ip::tcp::socket>& idle) {
  return std::count_if(idle.begin(), idle.end(), [](asio::ip::tcp::socket& socket) {
    char byte;
    return socket.is_open() &&
           ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  });
}

// Many short answers at once beside idle connections. Every answer must be the one that its
// question gets alone.
void Crowd(Bench& bench) {
  constexpr uint64_t kDistinct = 16;
  const auto question = [&](uint64_t i) {
    return bench.Ask(bench.Text(30, 1300 + i % kDistinct), static_cast<int64_t>(4 + i % kDistinct));
  };
  std::vector<std::string> alone;
  for (uint64_t i = 0; i < kDistinct; ++i)
    alone.push_back(AskOne(bench.target(), question(i)).text);
  asio::io_context context(1);
  std::vector<asio::ip::tcp::socket> idle;
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(bench.target().host),
                                         bench.target().port);
  int64_t unconnected = 0;
  for (int64_t i = 0; i < bench.options().idle; ++i) {
    boost::system::error_code error;
    idle.emplace_back(context).connect(endpoint, error);
    unconnected += error.failed();
  }
  std::vector<Answer> answers(static_cast<size_t>(bench.options().requests));
  size_t next = 0;
  for (int64_t i = 0; i < bench.options().streams; ++i) {
    asio::co_spawn(
        context,
        [&]() -> Task<void> {
          while (next < answers.size()) {
            const size_t mine = next++;
            answers[mine] = co_await Ask(bench.target(), question(mine));
          }
        },
        asio::detached);
  }
  context.run();
  bench.Row("crowd", answers);
  int64_t mixed = 0;
  std::vector<double> totals;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok()) continue;
    mixed += answers[i].text != alone[i % kDistinct];
    totals.push_back(1000 * answers[i].total());
  }
  bench.Note(
      fmt::format("{} answers differ from the ones alone, {} idle connections ({} refused, {} open "
                  "at the end), "
                  "whole answers: p50 {:.0f} ms, p99 {:.0f} ms",
                  mixed, idle.size(), unconnected, CountOpen(idle), Percentile(totals, 50),
                  Percentile(totals, 99)));
}

constexpr Scenario kScenarios[] = {
    {"S1", "one user, prompt of 512 tokens, 128 out", Single},
    {"S2", "eight users at once, unique prompts of 256, 128 out", EightStrangers},
    {"S3", "eight users, one system prompt of 1000, questions of 64 and of 8, 0.2 s apart",
     SharedSystemPrompt},
    {"S4", "a prompt of 4000 arrives while three users read", LongPromptArrives},
    {"S5",
     "a conversation that begins with 4000 tokens, with questions of 20 and of 40, then two in "
     "turns",
     Conversation},
    {"S6", "200 tokens with and without a JSON schema", JsonSchema},
    {"S7", "a text of 300 tokens, and again where the prompt holds most of it", Editing},
    {"S8", "arrivals at random, at 0.2, 0.5 and 1.0 of --capacity", RandomArrivals},
    {"S9", "from the start of the process (--start) to the first token", ColdStart},
    {"S10", "greedy, and sampling from all tokens and from 40", Sampling},
    {"S11", "tokenizing 100 kB, embedding 256 texts", TextsAtOnce},
    {"crowd", "--requests short answers, --streams at once, --idle idle connections", Crowd},
};

}  // namespace

std::span<const Scenario> Scenarios() { return kScenarios; }

}  // namespace puna::bench
