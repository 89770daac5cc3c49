// puna logs: what the server of this user wrote into its log file.
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/log_file.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

struct LogsOptions {
  std::string file = DefaultLogFile();
  int lines = 50;
  bool follow = false;
};

// Where the last `lines` lines begin.
std::streamoff BeginningOfLast(std::ifstream& file, int lines) {
  constexpr std::streamoff kBlock = 65536;
  file.seekg(0, std::ios::end);
  std::streamoff at = file.tellg();
  int seen = -1;  // the file's own end is that of its last line
  std::string block;
  while (at > 0) {
    const std::streamoff begin = std::max<std::streamoff>(0, at - kBlock);
    block.resize(static_cast<size_t>(at - begin));
    file.seekg(begin);
    file.read(block.data(), at - begin);
    for (size_t i = block.size(); i > 0; --i) {
      if (block[i - 1] == '\n' && ++seen == lines) return begin + static_cast<std::streamoff>(i);
    }
    at = begin;
  }
  return 0;
}

std::streamoff PrintFrom(const fs::path& path, std::streamoff at) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  if (file.tellg() < at) at = 0;  // a new file took its place
  file.seekg(at);
  char buffer[65536];
  while (file.read(buffer, sizeof(buffer)), file.gcount() > 0) {
    std::fwrite(buffer, 1, static_cast<size_t>(file.gcount()), stdout);
    at += file.gcount();
  }
  std::fflush(stdout);
  return at;
}

Status PrintLogs(const LogsOptions& options) {
  std::ifstream file(options.file, std::ios::binary);
  if (!file) {
    return MakeError(
        ErrorCode::kNotFound,
        "there is no log {}; that of a server run by systemd is shown by journalctl -u "
        "puna",
        options.file);
  }
  std::streamoff at = PrintFrom(options.file, BeginningOfLast(file, options.lines));
  const InterruptScope interrupt;
  while (options.follow && !interrupt.interrupted()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    at = PrintFrom(options.file, at);
  }
  return {};
}

}  // namespace

void AddLogs(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command = app.add_subcommand("logs", "Print the end of the server's log");
  auto options = std::make_shared<LogsOptions>();
  command->add_option("-n,--lines", options->lines, "How many lines")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  command->add_flag("-f,--follow", options->follow,
                    "Go on with what is written, until interrupted");
  command->add_option("--file", options->file, "Another log file");
  command->callback([options, chosen] { *chosen = [options] { return PrintLogs(*options); }; });
}

}  // namespace puna::cli
