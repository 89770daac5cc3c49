#include "cli/line_history.h"

#include <algorithm>

#include "base/file.h"

namespace puna::cli {
namespace {

constexpr size_t kHistoryLines = 100;
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

}  // namespace

LineHistory::LineHistory(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(file_.parent_path(), error);
  const auto text = ReadFile(file_, kMaxHistoryBytes);
  if (!text) return;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    if (!line.empty() && line != kLibeditHead) lines_.push_back(Decoded(line));
    at = end + 1;
  }
  if (lines_.size() > kHistoryLines)
    lines_.erase(lines_.begin(), lines_.end() - static_cast<std::ptrdiff_t>(kHistoryLines));
}

void LineHistory::Add(const std::string& line) {
  if (line.empty() || (!lines_.empty() && lines_.back() == line)) return;
  lines_.push_back(line);
  if (lines_.size() > kHistoryLines) lines_.erase(lines_.begin());
  if (file_.empty()) return;
  std::string text;
  for (const std::string& each : lines_) text += Encoded(each) + "\n";
  (void)WriteFileAtomically(file_, text, 0600);  // a chat goes on without
}

}  // namespace puna::cli
