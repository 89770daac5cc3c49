#include "cli/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/thread.h"
#include "cli/human.h"
#include "cli/word_wrap.h"

namespace puna::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSpinnerDelay = std::chrono::milliseconds(200);
constexpr auto kSpinnerStep = std::chrono::milliseconds(100);
constexpr auto kRedraw = std::chrono::milliseconds(100);

// Signal handlers may touch nothing but such a flag.
volatile sig_atomic_t interrupt_seen = 0;
void NoteInterrupt(int) { interrupt_seen = 1; }

std::string FormatAmount(int64_t amount, AmountUnit unit) {
  return unit == AmountUnit::kBytes ? HumanBytes(amount) : fmt::format("{}", amount);
}

int SizeOfTerminal(unsigned short winsize::*field, int otherwise) {
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    winsize size = {};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.*field > 0) return size.*field;
  }
  return otherwise;
}

// "19s", "3m05s", "2h10m"
std::string FormatTimeLeft(double seconds) {
  const auto whole = static_cast<int64_t>(std::min(seconds, 1e9) + 0.5);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

// `max_bytes` 0: no limit.
Result<std::string> ReadToEnd(int descriptor, const std::string& name, uint64_t max_bytes) {
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t count = ::read(descriptor, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoError(errno, name);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (max_bytes != 0 && text.size() > max_bytes) {
      return MakeError(ErrorCode::kInvalidArgument, "{} has more than {} bytes", name, max_bytes);
    }
  }
}

}  // namespace

bool StdinIsTerminal() { return ::isatty(STDIN_FILENO) == 1; }
bool StdoutIsTerminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool StderrIsTerminal() { return ::isatty(STDERR_FILENO) == 1; }

Status CheckThatOutputIsWritten() {
  const int error = std::fflush(stdout) == 0 ? 0 : errno;
  if ((error == 0 && std::ferror(stdout) == 0) || StdoutIsTerminal()) return {};
  constexpr char kWhat[] = "standard output is not complete";
  if (error != 0) return ErrnoError(error, kWhat);
  return MakeError(ErrorCode::kInternal, "{}: a write failed", kWhat);
}

int TerminalWidth() { return SizeOfTerminal(&winsize::ws_col, 80); }
int TerminalHeight() { return SizeOfTerminal(&winsize::ws_row, 24); }

Result<std::string> ReadStandardInput(uint64_t max_bytes) {
  return ReadToEnd(STDIN_FILENO, "standard input", max_bytes);
}

Result<std::string> ReadInputFile(const std::filesystem::path& path, uint64_t max_bytes) {
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) return ReadFile(path, max_bytes);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoError(errno, path.string());
  auto text = ReadToEnd(descriptor, path.string(), max_bytes);
  ::close(descriptor);
  return text;
}

struct InterruptScope::Previous {
  struct sigaction action;
};

InterruptScope::InterruptScope() : previous_(std::make_unique<Previous>()) {
  interrupt_seen = 0;
  struct sigaction action = {};
  action.sa_handler = NoteInterrupt;
  CHECK(::sigaction(SIGINT, &action, &previous_->action) == 0);
}

InterruptScope::~InterruptScope() { ::sigaction(SIGINT, &previous_->action, nullptr); }

void InterruptScope::Forget() { interrupt_seen = 0; }

bool InterruptScope::interrupted() const { return interrupt_seen != 0; }

Spinner::Spinner(std::string label) : label_(std::move(label)) {
  if (!StderrIsTerminal()) return;
  if (auto thread = StartThread("puna-spinner", [this] { Turn(); })) thread_ = *std::move(thread);
}

void Spinner::Turn() {
  static constexpr const char* kSigns[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  std::unique_lock lock(mutex_);
  const auto stopped = [this] { return stopped_; };
  if (changed_.wait_for(lock, kSpinnerDelay, stopped)) return;
  for (size_t i = 0;; ++i) {
    std::fprintf(stderr, "\r%s%s \x1b[K", label_.c_str(), kSigns[i % std::size(kSigns)]);
    if (changed_.wait_for(lock, kSpinnerStep, stopped)) break;
  }
  std::fprintf(stderr, "\r\x1b[K");
}

void Spinner::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string FormatProgressBar(const std::string& status, const ProgressAmounts& amounts,
                              int width) {
  const auto [completed, total, rate, unit] = amounts;
  const double share =
      total > 0 ? std::clamp(static_cast<double>(completed) / static_cast<double>(total), 0.0, 1.0)
                : 0.0;
  std::string right =
      fmt::format(" {}/{}", FormatAmount(completed, unit), FormatAmount(total, unit));
  if (unit == AmountUnit::kTokens) right += " tokens";
  if (rate) right += fmt::format("  {}/s", FormatAmount(static_cast<int64_t>(*rate), unit));
  if (rate && *rate > 0)
    right += "  " + FormatTimeLeft(static_cast<double>(total - completed) / *rate);
  const std::string left = fmt::format("{}: {:3.0f}% ", status, share * 100);
  const int room = width - DisplayWidth(left) - DisplayWidth(right) - 3;
  if (room < 5) return left + right.substr(1);
  const int full = static_cast<int>(share * room);
  std::string bar = "▕";
  for (int i = 0; i < room; ++i) bar += i < full ? "█" : " ";
  return left + bar + "▏" + right;
}

void ProgressLines::EndLine() {
  if (!status_.empty() && StderrIsTerminal()) std::fputc('\n', stderr);
  status_.clear();
}

void ProgressLines::Show(const std::string& status) {
  EndLine();
  std::fprintf(stderr, "%s\n", status.c_str());
}

void ProgressLines::Show(const std::string& status, int64_t completed, int64_t total,
                         AmountUnit unit) {
  if (total <= 0) return Show(status);
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now.time_since_epoch()).count();
  const bool first = status != status_;
  if (first) {
    EndLine();
    status_ = status;
    rate_.emplace(seconds, completed);
    if (!StderrIsTerminal()) std::fprintf(stderr, "%s\n", status.c_str());
  }
  const std::optional<double> rate = rate_->Note(seconds, completed);
  if (!StderrIsTerminal() || (!first && completed < total && now - drawn_ < kRedraw)) return;
  drawn_ = now;
  const ProgressAmounts amounts{completed, total, rate, unit};
  std::fprintf(stderr, "\r%s\x1b[K", FormatProgressBar(status, amounts, TerminalWidth()).c_str());
}

}  // namespace puna::cli
