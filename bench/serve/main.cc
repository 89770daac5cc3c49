// serve_bench: drives a server with the scenarios of scenarios.cc and prints what its users see.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/descriptor_limit.h"
#include "base/settings.h"
#include "scenarios.h"

namespace puna::bench {
namespace {

double OwnProcessorSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int Run(BenchOptions options, const std::vector<std::string>& names) {
  Bench bench(std::move(options));
  const bool cold_only = names == std::vector<std::string>{"S9"};
  if (const auto failed = cold_only ? std::nullopt : bench.Calibrate()) {
    fmt::print(stderr, "the server at {}:{} does not answer for {}: {}\n", bench.target().host,
               bench.target().port, bench.target().model, *failed);
    return 1;
  }
  const Clock::time_point begin = Clock::now();
  for (const Scenario& scenario : Scenarios()) {
    const bool named = std::find(names.begin(), names.end(), scenario.name) != names.end();
    if (named) scenario.run(bench);
  }
  const double seconds = Answer::Seconds(begin, Clock::now());
  bench.Note(fmt::format("{:.1f} s in all; this client used {:.2f} s of processor time ({:.1f} %)",
                         seconds, OwnProcessorSeconds(), 100 * OwnProcessorSeconds() / seconds));
  return 0;
}

}  // namespace
}  // namespace puna::bench

int main(int argc, char** argv) {
  using namespace puna::bench;
  puna::RaiseDescriptorLimit();  // each stream is a connection
  CLI::App app("Drives a server of language models and prints what its users see");
  BenchOptions options;
  std::string address = "127.0.0.1:11434";
  std::vector<std::string> names = {"S1", "S2", "S3", "S4", "S5"};
  std::string what = "Scenarios:\n";
  for (const Scenario& scenario : Scenarios())
    what += fmt::format("  {:<7}{}\n", scenario.name, scenario.what);
  app.footer(what + "Times are in milliseconds.");
  app.add_option("scenarios", names, "Which, in the order of the list below")
      ->capture_default_str();
  app.add_option("--url", address, "Address and port")->capture_default_str();
  app.add_option("--model", options.target.model, "Name of the model");
  app.add_flag("--native", options.target.native, "Ollama's own chat instead of OpenAI's");
  app.add_flag("!--whole", options.stream, "Ask for whole answers instead of streams");
  app.add_option("--temperature", options.temperature)->capture_default_str();
  app.add_option("--seconds", options.seconds, "Length of each part of S8")->capture_default_str();
  app.add_option("--reading", options.reading,
                 "Seconds between an answer of S5 and the next question")
      ->capture_default_str();
  app.add_option("--capacity", options.capacity, "Requests a second of S8 at full load")
      ->capture_default_str();
  app.add_option("--requests", options.requests, "Of the crowd")->capture_default_str();
  app.add_option("--streams", options.streams, "Of the crowd at once")->capture_default_str();
  app.add_option("--idle", options.idle, "Idle connections beside it")->capture_default_str();
  app.add_option("--start", options.start, "Command of S9 that starts the server");
  app.add_flag("--json", options.json, "One JSON object a line");
  CLI11_PARSE(app, argc, argv);
  const puna::Address parsed = puna::ParseAddress(address);
  options.target.host = parsed.host == "localhost" ? "127.0.0.1" : parsed.host;
  options.target.port = parsed.port;
  return Run(std::move(options), names);
}
