#include "cli/line_history.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"

namespace puna::cli {
namespace {

constexpr size_t kHistoryLines = 100;
constexpr size_t kMostLinesInFile = 2 * kHistoryLines;
constexpr uint64_t kMaxHistoryBytes = 64 << 20;  // of pastes that were large
constexpr std::string_view kLibeditHead = "_HiStOrY_V2_";

bool IsOctal(std::string_view digits) {
  return digits.size() == 3 && digits.find_first_not_of("01234567") == std::string_view::npos;
}

std::string Decoded(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    const std::string_view digits = line.substr(i + 1, 3);
    if (line[i] == '\\' && IsOctal(digits)) {
      text += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0');
      i += 3;
    } else {
      text += line[i];
    }
  }
  return text;
}

std::string Encoded(std::string_view line) {
  std::string text;
  for (const char c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\\') {
      text += fmt::format("\\{:03o}", static_cast<int>(c));
    } else {
      text += c;
    }
  }
  return text;
}

// The file, opened to append and locked until the descriptor is closed; -1 if it cannot be.
int OpenLocked(const std::filesystem::path& path) {
  while (true) {
    const int file = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return -1;
    int locked = 0;
    do {
      locked = ::flock(file, LOCK_EX);
    } while (locked != 0 && errno == EINTR);
    struct stat opened = {}, current = {};
    // Somebody may have put a shorter file in its place while this one was waited for.
    if (::fstat(file, &opened) == 0 && ::stat(path.c_str(), &current) == 0 &&
        opened.st_dev == current.st_dev && opened.st_ino == current.st_ino) {
      return file;
    }
    ::close(file);
  }
}

// Appends to `file` what is on `line`. A write that was cut off left no line break.
void AppendLine(int file, const std::string& line) {
  char last = '\n';
  const off_t size = ::lseek(file, 0, SEEK_END);
  if (size > 0 && ::pread(file, &last, 1, size - 1) != 1) return;
  const std::string text = (last == '\n' ? "" : "\n") + Encoded(line) + "\n";
  (void)!::write(file, text.data(), text.size());
}

// The last lines of a file as this one.
std::vector<std::string_view> LastLines(std::string_view text, size_t most) {
  std::vector<std::string_view> lines;
  while (!text.empty() && lines.size() < most) {
    if (text.back() == '\n') text.remove_suffix(1);
    const size_t begin = text.rfind('\n') + 1;  // npos + 1 is 0
    const std::string_view line = text.substr(begin);
    if (!line.empty() && line != kLibeditHead) lines.push_back(line);
    text = text.substr(0, begin);
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

}  // namespace

LineHistory::LineHistory(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(file_.parent_path(), error);
  const auto text = ReadFile(file_, kMaxHistoryBytes);
  if (!text) return;
  for (const std::string_view line : LastLines(*text, kHistoryLines))
    lines_.push_back(Decoded(line));
}

void LineHistory::Add(const std::string& line) {
  if (line.empty() || (!lines_.empty() && lines_.back() == line)) return;
  lines_.push_back(line);
  if (lines_.size() > kHistoryLines) lines_.erase(lines_.begin());
  if (file_.empty()) return;
  const int file = OpenLocked(file_);
  if (file < 0) return;  // a chat goes on without
  AppendLine(file, line);
  const auto text = ReadFile(file_, kMaxHistoryBytes);
  std::string kept;
  if (text && LastLines(*text, kMostLinesInFile + 1).size() > kMostLinesInFile) {
    for (const std::string_view each : LastLines(*text, kHistoryLines))
      kept += std::string(each) + "\n";
  } else if (!text && text.error().code == ErrorCode::kResourceExhausted) {
    for (const std::string& each : lines_) kept += Encoded(each) + "\n";
  }
  if (!kept.empty()) (void)WriteFileAtomically(file_, kept, 0600);
  ::close(file);
}

}  // namespace puna::cli
