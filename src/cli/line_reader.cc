// The terminal is in raw mode only while a line is read, and sends no signals then: Ctrl-C is a key
// that ends the line, which needs no handler and leaves no half-changed state. It exchanges CR and
// LF on input, so that Enter arrives as LF, also where it was typed before, and Ctrl-J as CR; that
// is how the two can differ.
//
// What is shown is drawn anew, from the prompt on, when there is nothing more to read.
#include "cli/line_reader.h"

#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/utf8.h"
#include "cli/edit_line.h"
#include "cli/line_history.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l";
constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";
constexpr size_t kMaxPasteBytes = 16 << 20;
constexpr size_t kMaxKeyBytes = 32;
constexpr int kEscapeMs = 50;  // an escape sequence comes whole; the key alone is followed by none

// For the handlers of signals, which may touch nothing else.
termios cooked_mode;
volatile sig_atomic_t is_raw = 0;
volatile sig_atomic_t screen_changed = 0;  // another size, or another program had it

void NoteScreenChange(int) { screen_changed = 1; }

void RestoreAndDie(int signal) {
  if (is_raw != 0) ::tcsetattr(STDIN_FILENO, TCSANOW, &cooked_mode);
  (void)!::write(STDOUT_FILENO, kPasteOff.data(), kPasteOff.size());
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

// The terminal as single keys are read from it, while one lives.
class RawMode {
 public:
  RawMode() {
    struct sigaction action = {};
    for (size_t i = 0; i < std::size(kSignals); ++i) {
      action.sa_handler = i < kDeadly ? RestoreAndDie : NoteScreenChange;
      ::sigaction(kSignals[i], &action, &previous_[i]);
    }
    Enter();
  }
  ~RawMode() {
    Leave();
    for (size_t i = 0; i < std::size(kSignals); ++i)
      ::sigaction(kSignals[i], &previous_[i], nullptr);
  }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

  static void Enter() {
    if (is_raw == 0 && ::tcgetattr(STDIN_FILENO, &cooked_mode) != 0) return;
    termios raw = cooked_mode;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~static_cast<tcflag_t>(IGNCR | IXON | ISTRIP);
    raw.c_iflag |= ICRNL | INLCR;
    raw.c_oflag |= OPOST | ONLCR;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    is_raw = 1;
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  }
  static void Leave() {
    if (is_raw == 0) return;
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked_mode);
    is_raw = 0;
  }

 private:
  static constexpr int kSignals[] = {SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
  static constexpr size_t kDeadly = 3;
  struct sigaction previous_[std::size(kSignals)];
};

void SwitchPasteMarks(bool on) {
  const std::string_view text = on ? kPasteOn : kPasteOff;
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// What other programs open as an editor.
std::string UsualEditor() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "vi";
}

// The text as the editor left it; the old one if it could not run.
std::string RunEditor(const std::string& editor, const std::string& text) {
  std::string path = (fs::temp_directory_path() / "puna-prompt-XXXXXX").string();
  const int descriptor = ::mkstemp(path.data());
  if (descriptor < 0) return text;
  const bool written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(descriptor);
  std::string edited = text;
  // The editor is a command line of the user's own, such as "code --wait".
  if (written && std::system((editor + " '" + path + "'").c_str()) == 0) {
    if (auto content = ReadFile(path)) edited = *std::move(content);
    while (edited.ends_with('\n')) edited.pop_back();
  }
  std::remove(path.c_str());
  return edited;
}

}  // namespace

class LineReader::State {
 public:
  State(const fs::path& history_file, std::string editor)
      : history_(history_file), editor_(editor.empty() ? UsualEditor() : std::move(editor)) {}

  TypedLine Read(const std::string& prompt);
  bool history_on = true;

 private:
  struct Binding {
    std::string_view keys;
    void (State::*run)();
  };
  static const Binding kBindings[];

  // Keys: a control character, an escape sequence, or as much text as there is. Empty: the end.
  std::string NextKey();
  bool Fill(int timeout_ms);
  std::string TakeText();
  void HandleKey(const std::string& key);

  void Draw(std::string prompt, const EditLine& line, bool whole = false);
  void Redraw() { Draw(prompt_, line_); }
  void ForgetScreen() { drawn_ = {}; }
  void AdaptToScreen();

  void Submit();
  void Interrupt();
  void DeleteOrLeave();
  void NewLine() { line_.Insert("\n"); }
  void Tab() { line_.Insert("        "); }
  void ClearScreen();
  void Suspend();
  void Paste();
  void OpenEditor();
  void Earlier();
  void Later();
  void UpOrEarlier() {
    if (!line_.Up()) Earlier();
  }
  void DownOrLater() {
    if (!line_.Down()) Later();
  }
  void Search();
  void FindEarlier(const std::string& query, bool next, size_t* at);
  template <void (EditLine::*edit)()>
  void Edit() {
    (line_.*edit)();
  }

  // What is on the screen, from the row of the prompt on.
  struct Drawn {
    std::vector<std::string> rows;
    std::vector<int> widths;
    size_t first = 0;  // row of the whole that is the first here
    size_t cursor_row = 0;
    int cursor_column = 0;
    bool at_end = false;
  };

  LineHistory history_;
  const std::string editor_;
  std::string prompt_, shown_prompt_;
  EditLine line_;
  size_t position_ = 0;  // in the history; its size: the line that is new
  std::string draft_;    // which is kept here meanwhile
  std::string input_;    // read and not yet used
  std::string pushed_back_;
  Drawn drawn_;
  std::optional<TypedLine> done_;
};

const LineReader::State::Binding LineReader::State::kBindings[] = {
    {"\n", &State::Submit},
    {"\r", &State::NewLine},  // Ctrl-J, see above
    {"\x03", &State::Interrupt},
    {"\x04", &State::DeleteOrLeave},
    {"\t", &State::Tab},
    {"\x0c", &State::ClearScreen},
    {"\x1a", &State::Suspend},
    {"\x07", &State::OpenEditor},
    {"\x12", &State::Search},
    {"\x10", &State::Earlier},
    {"\x0e", &State::Later},
    {kPasteBegin, &State::Paste},
    {"\x01", &State::Edit<&EditLine::Home>},
    {"\x05", &State::Edit<&EditLine::End>},
    {"\x02", &State::Edit<&EditLine::Left>},
    {"\x06", &State::Edit<&EditLine::Right>},
    {"\x08", &State::Edit<&EditLine::DeleteLeft>},
    {"\x7f", &State::Edit<&EditLine::DeleteLeft>},
    {"\x0b", &State::Edit<&EditLine::DeleteToEnd>},
    {"\x15", &State::Edit<&EditLine::DeleteToStart>},
    {"\x17", &State::Edit<&EditLine::DeleteToSpace>},
    {"\x19", &State::Edit<&EditLine::Yank>},
    {"\x1b\x08", &State::Edit<&EditLine::DeleteWordLeft>},
    {"\x1b\x7f", &State::Edit<&EditLine::DeleteWordLeft>},
    {"\x1b"
     "d",
     &State::Edit<&EditLine::DeleteWordRight>},
    {"\x1b"
     "b",
     &State::Edit<&EditLine::WordLeft>},
    {"\x1b"
     "f",
     &State::Edit<&EditLine::WordRight>},
    {"\x1b[1;3D", &State::Edit<&EditLine::WordLeft>},
    {"\x1b[1;3C", &State::Edit<&EditLine::WordRight>},
    {"\x1b[1;5D", &State::Edit<&EditLine::WordLeft>},
    {"\x1b[1;5C", &State::Edit<&EditLine::WordRight>},
    {"\x1b[3~", &State::Edit<&EditLine::DeleteRight>},
    {"\x1b[1~", &State::Edit<&EditLine::Home>},
    {"\x1b[4~", &State::Edit<&EditLine::End>},
    {"\x1b[7~", &State::Edit<&EditLine::Home>},
    {"\x1b[8~", &State::Edit<&EditLine::End>},
    // With [ and, on application keypads, with O.
    {"\x1b[A", &State::UpOrEarlier},
    {"\x1b[B", &State::DownOrLater},
    {"\x1b[C", &State::Edit<&EditLine::Right>},
    {"\x1b[D", &State::Edit<&EditLine::Left>},
    {"\x1b[H", &State::Edit<&EditLine::Home>},
    {"\x1b[F", &State::Edit<&EditLine::End>},
};

TypedLine LineReader::State::Read(const std::string& prompt) {
  prompt_ = prompt;
  line_.Set("");
  position_ = history_.lines().size();
  draft_.clear();
  done_.reset();
  ForgetScreen();
  const RawMode raw;       // before the prompt: what is typed between the two would be echoed
  SwitchPasteMarks(true);  // again: an editor or a shell may have had the terminal
  Redraw();
  while (!done_) {
    const std::string key = NextKey();
    if (key.empty()) return {};
    HandleKey(key);
  }
  if (history_on && done_->kind == TypedLine::Kind::kLine) history_.Add(done_->text);
  return *std::move(done_);
}

void LineReader::State::HandleKey(const std::string& key) {
  if (!IsControl(key[0])) {
    line_.Insert(key);
    return;
  }
  std::string normal = key;
  if (normal.starts_with("\x1bO")) normal[1] = '[';
  for (const Binding& binding : kBindings) {
    if (binding.keys == normal) return (this->*binding.run)();
  }
}

// False at the end of the input, or when nothing came in time.
bool LineReader::State::Fill(int timeout_ms) {
  while (true) {
    if (std::exchange(screen_changed, 0) != 0) AdaptToScreen();
    pollfd poll = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&poll, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    char buffer[4096];
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    for (const char c : std::string_view(buffer, static_cast<size_t>(count))) {
      if (c != '\0') input_ += c;  // where Ctrl-D was typed before this was raw
    }
    if (!input_.empty()) return true;
  }
}

std::string LineReader::State::NextKey() {
  if (!pushed_back_.empty()) return std::exchange(pushed_back_, {});
  if (input_.empty() && !Fill(0)) {
    Redraw();
    if (!Fill(-1)) return "";
  }
  if (!IsControl(input_[0])) return TakeText();
  size_t length = 1;
  const auto has = [&](size_t bytes) { return input_.size() >= bytes || Fill(kEscapeMs); };
  if (input_[0] == '\x1b' && has(2)) {
    length = 2;
    if (input_[1] == 'O' && has(3)) length = 3;
    if (input_[1] == '[') {
      const auto is_final = [&] { return length > 2 && input_[length - 1] >= 0x40; };
      while (!is_final() && length < kMaxKeyBytes && has(length + 1)) ++length;
    }
  }
  const std::string key = input_.substr(0, length);
  input_.erase(0, length);
  return key;
}

std::string LineReader::State::TakeText() {
  size_t length = 0;
  while (length < input_.size() && !IsControl(input_[length])) ++length;
  // A character that is on its way is waited for.
  while (length == input_.size() && CompleteUtf8Prefix(input_) < length && Fill(kEscapeMs)) {
    while (length < input_.size() && !IsControl(input_[length])) ++length;
  }
  const std::string text = ReplaceInvalidUtf8(std::string_view(input_).substr(0, length));
  input_.erase(0, length);
  return text;
}

void LineReader::State::Draw(std::string prompt, const EditLine& line, bool whole) {
  RowLayout layout = LayOut(prompt, line.text(), line.cursor(), TerminalWidth());
  const auto height = static_cast<size_t>(TerminalHeight());
  // Of a text that is longer than the screen, what is around the cursor.
  size_t first = 0;
  if (!whole && layout.rows.size() > height) {
    const size_t lowest = layout.cursor_row < height ? 0 : layout.cursor_row - height + 1;
    first =
        std::clamp(std::min(drawn_.first, layout.rows.size() - height), lowest, layout.cursor_row);
  }
  const size_t last = whole ? layout.rows.size() : std::min(layout.rows.size(), first + height);
  Drawn now;
  now.rows.assign(layout.rows.begin() + static_cast<std::ptrdiff_t>(first),
                  layout.rows.begin() + static_cast<std::ptrdiff_t>(last));
  now.widths.assign(layout.widths.begin() + static_cast<std::ptrdiff_t>(first),
                    layout.widths.begin() + static_cast<std::ptrdiff_t>(last));
  now.first = first;
  now.cursor_row = layout.cursor_row - first;
  now.cursor_column = layout.cursor_column;
  now.at_end = line.cursor() == line.text().size();
  const bool appended = drawn_.at_end && now.at_end && !drawn_.rows.empty() &&
                        now.rows.size() == drawn_.rows.size() &&
                        now.rows.back().starts_with(drawn_.rows.back()) &&
                        std::equal(now.rows.begin(), now.rows.end() - 1, drawn_.rows.begin());
  std::string out;
  if (appended) {
    out = now.rows.back().substr(drawn_.rows.back().size());
  } else {
    if (drawn_.cursor_row > 0) out += fmt::format("\x1b[{}A", drawn_.cursor_row);
    out += "\r\x1b[J";
    for (size_t i = 0; i < now.rows.size(); ++i) out += (i > 0 ? "\n" : "") + now.rows[i];
    const size_t above = now.rows.size() - 1 - now.cursor_row;
    if (above > 0) out += fmt::format("\x1b[{}A", above);
    // Printing leads to the cursor whatever the terminal takes for the width of a character.
    if (!now.at_end) out += "\r" + layout.before_cursor;
  }
  std::fwrite(out.data(), 1, out.size(), stdout);
  std::fflush(stdout);
  drawn_ = std::move(now);
  shown_prompt_ = std::move(prompt);
}

// Rows that were wider than the window is now have become several.
void LineReader::State::AdaptToScreen() {
  RawMode::Enter();
  const int width = TerminalWidth();
  size_t above = static_cast<size_t>(drawn_.cursor_column / width);
  for (size_t i = 0; i < drawn_.cursor_row; ++i)
    above += static_cast<size_t>(std::max(1, (drawn_.widths[i] + width - 1) / width));
  drawn_.cursor_row = above;
  drawn_.at_end = false;
  Draw(shown_prompt_, line_);
}

void LineReader::State::Submit() {
  EditLine line = line_;
  line.Set(line.text());  // the cursor goes to its end
  const auto height = static_cast<size_t>(TerminalHeight());
  const size_t rows = LayOut(prompt_, line.text(), line.cursor(), TerminalWidth()).rows.size();
  Draw(prompt_, line, rows > height);
  std::fputs("\n", stdout);
  done_ = TypedLine{.kind = TypedLine::Kind::kLine, .text = line_.text()};
}

void LineReader::State::Interrupt() {
  line_.Set(line_.text());
  Redraw();
  std::fputs("^C\n", stdout);
  done_ = TypedLine{.kind = TypedLine::Kind::kInterrupted, .text = ""};
}

void LineReader::State::DeleteOrLeave() {
  if (line_.text().empty()) {
    done_ = TypedLine{.kind = TypedLine::Kind::kEnd, .text = ""};
  } else {
    line_.DeleteRight();
  }
}

void LineReader::State::ClearScreen() {
  std::fputs("\x1b[H\x1b[2J", stdout);
  ForgetScreen();
}

void LineReader::State::Suspend() {
  RawMode::Leave();
  SwitchPasteMarks(false);
  ::kill(0, SIGTSTP);
  RawMode::Enter();
  SwitchPasteMarks(true);
  ForgetScreen();
}

void LineReader::State::Paste() {
  size_t end = input_.find(kPasteEnd);
  while (end == std::string::npos && input_.size() < kMaxPasteBytes) {
    const size_t from = input_.size() - std::min(input_.size(), kPasteEnd.size());
    if (!Fill(-1)) break;
    end = input_.find(kPasteEnd, from);
  }
  end = std::min(end, input_.size());
  std::string text;
  for (size_t i = 0; i < end; ++i) {
    // CR and LF are exchanged here, too; what is CR LF elsewhere is one line break.
    if (input_[i] == '\n' && i + 1 < end && input_[i + 1] == '\r') ++i;
    text += input_[i] == '\r' ? '\n' : input_[i];
  }
  input_.erase(0, std::min(end + kPasteEnd.size(), input_.size()));
  line_.Insert(ReplaceInvalidUtf8(text));
}

void LineReader::State::OpenEditor() {
  RawMode::Leave();
  SwitchPasteMarks(false);
  line_.Set(RunEditor(editor_, line_.text()));
  RawMode::Enter();
  SwitchPasteMarks(true);
  ForgetScreen();
}

void LineReader::State::Earlier() {
  if (position_ == 0) return;
  if (position_ == history_.lines().size()) draft_ = line_.text();
  line_.Set(history_.lines()[--position_]);
}

void LineReader::State::Later() {
  if (position_ == history_.lines().size()) return;
  ++position_;
  line_.Set(position_ == history_.lines().size() ? draft_ : history_.lines()[position_]);
}

// The latest line from `at` backwards that has the text in it.
void LineReader::State::FindEarlier(const std::string& query, bool next, size_t* at) {
  for (size_t i = next ? *at : *at + 1; i-- > 0;) {
    if (i >= history_.lines().size() || history_.lines()[i].find(query) == std::string::npos)
      continue;
    *at = i;
    line_.Set(history_.lines()[i]);
    return;
  }
}

void LineReader::State::Search() {
  const EditLine before = line_;
  std::string query;
  size_t at = history_.lines().size();
  while (true) {
    if (input_.empty() && !Fill(0)) Draw("(search: " + query + ") ", line_);
    if (input_.empty() && !Fill(-1)) return;
    const std::string key = NextKey();
    if (key == "\x12") {
      FindEarlier(query, true, &at);
    } else if (key == "\x7f" || key == "\x08") {
      query.resize(query.size() - std::min<size_t>(query.size(), 1));
      query.resize(CompleteUtf8Prefix(query));
      at = history_.lines().size();
      FindEarlier(query, true, &at);
    } else if (!IsControl(key[0])) {
      query += key;
      FindEarlier(query, false, &at);
    } else if (key == "\x03" || key == "\x07") {
      line_ = before;
      return;
    } else {
      if (at < history_.lines().size()) position_ = at;
      if (key != "\x1b") pushed_back_ = key;
      return;
    }
  }
}

LineReader::LineReader(const fs::path& history_file, std::string editor)
    : state_(std::make_unique<State>(history_file, std::move(editor))) {
  SwitchPasteMarks(true);
}

LineReader::~LineReader() { SwitchPasteMarks(false); }

void LineReader::SetHistory(bool on) { state_->history_on = on; }

TypedLine LineReader::Read(const std::string& prompt) { return state_->Read(prompt); }

}  // namespace puna::cli
