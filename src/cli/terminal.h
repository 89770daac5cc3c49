// What the commands know of the terminal, and the little they print on it while something takes
// long. Thread safe where not said otherwise.
#ifndef PUNA_CLI_TERMINAL_H_
#define PUNA_CLI_TERMINAL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "cli/recent_rate.h"

namespace puna::cli {

bool StdinIsTerminal();
bool StdoutIsTerminal();
bool StderrIsTerminal();
// What was printed is written, as far as that is known. Whoever keeps an answer in a file must not
// take a part of it for the whole. On a terminal Ctrl-C may cut off a line, which is no error.
Status CheckThatOutputIsWritten();
// Columns of the terminal behind standard output, else behind standard error; 80 if neither is one.
int TerminalWidth();
int TerminalHeight();  // its rows; 24
// Everything up to the end of the input. More than `max_bytes` (0: no limit) is kInvalidArgument.
Result<std::string> ReadStandardInput(uint64_t max_bytes = 0);
// The whole of a file that was named on the command line. As for other programs it may be a pipe or
// a device, which is read to its end. More than `max_bytes` is an error.
Result<std::string> ReadInputFile(const std::filesystem::path& path,
                                  uint64_t max_bytes = uint64_t{1} << 30);

// While one lives, Ctrl-C sets a flag instead of ending the program. One may live inside another;
// the flag is theirs together, and a new one clears it.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  bool interrupted() const;
  void Forget();  // interrupted() is false again

 private:
  struct Previous;
  std::unique_ptr<Previous> previous_;
};

// A turning sign on standard error, drawn by a thread of its own after a short delay; nothing where
// standard error is no terminal. It removes itself.
class Spinner {
 public:
  explicit Spinner(std::string label);
  ~Spinner() { Stop(); }
  // Removes the sign; the caller may write on the line afterwards. Idempotent.
  void Stop();

 private:
  void Turn();
  std::string label_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;
};

enum class AmountUnit { kBytes, kTokens };

// One line on standard error for each thing in progress: a bar on a terminal, else only the names.
// Not thread safe.
class ProgressLines {
 public:
  ~ProgressLines() { EndLine(); }
  // A line without amounts replaces nothing and is followed by the next.
  void Show(const std::string& status);
  // The bar of `status`; the same status redraws it. Without amounts (total 0) as above.
  void Show(const std::string& status, int64_t completed, int64_t total,
            AmountUnit unit = AmountUnit::kBytes);
  void EndLine();

 private:
  std::string status_;  // of the line that the cursor is on; empty: none
  std::optional<RecentRate> rate_;
  std::chrono::steady_clock::time_point drawn_;
};

struct ProgressAmounts {
  int64_t completed = 0, total = 0;
  std::optional<double> rate;  // a second
  AmountUnit unit = AmountUnit::kBytes;
};
// "name:  42% ▕████      ▏ 1.2 GB/2.9 GB  85 MB/s  19s", at most `width` columns; the
// time left is what the rest takes at this rate.
std::string FormatProgressBar(const std::string& status, const ProgressAmounts& amounts, int width);

}  // namespace puna::cli

#endif  // PUNA_CLI_TERMINAL_H_
