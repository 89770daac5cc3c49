// libedit knows the keys of Emacs and of the arrows; what Ollama's prompt has beyond that are a few
// functions bound to keys here.
//
// While a line is edited the terminal sends no signals: Ctrl-C is a key that ends the line, which
// needs no handler and leaves no half-changed state. libedit also exchanges CR and LF on input, so
// that Enter arrives as LF and Ctrl-J as CR; that is how the two can differ.
#include "cli/line_reader.h"

#include <histedit.h>
#include <langinfo.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/file.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kHistoryLines = 100;
constexpr char kPasteOn[] = "\x1b[?2004h";
constexpr char kPasteOff[] = "\x1b[?2004l";
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr size_t kMaxPasteBytes = 16 << 20;

// Terminals speak UTF-8 today, also where the environment names no locale.
void UseUtf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineReader::State {
  EditLine* edit = nullptr;
  History* history = nullptr;
  fs::path history_file;
  std::string editor;
  std::string prompt;
  bool history_on = true;
  bool interrupted = false;

  static State* Of(EditLine* edit) {
    State* state = nullptr;
    el_get(edit, EL_CLIENTDATA, &state);
    return state;
  }
  static char* Prompt(EditLine* edit) { return Of(edit)->prompt.data(); }

  static void DeleteLine(EditLine* edit) {
    const LineInfo* line = el_line(edit);
    const auto length = static_cast<int>(line->lastchar - line->buffer);
    el_cursor(edit, static_cast<int>(line->lastchar - line->cursor));
    el_deletestr(edit, length);
  }

  static unsigned char Interrupt(EditLine* edit, int) {
    Of(edit)->interrupted = true;
    DeleteLine(edit);
    std::fputs("^C", stdout);
    return CC_NEWLINE;
  }

  static unsigned char InsertNewline(EditLine* edit, int) {
    return el_insertstr(edit, "\n") == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char InsertTab(EditLine* edit, int) {
    return el_insertstr(edit, "        ") == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char Suspend(EditLine* edit, int) {
    el_set(edit, EL_PREP_TERM, 0);
    ::kill(0, SIGTSTP);
    el_set(edit, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
  }

  static unsigned char Paste(EditLine* edit, int) {
    std::string text;
    char c = 0;
    while (!text.ends_with(kPasteEnd) && text.size() < kMaxPasteBytes) {
      if (el_getc(edit, &c) != 1) return CC_EOF;
      if (c != '\0') text += c == '\r' ? '\n' : c;
    }
    if (text.ends_with(kPasteEnd)) text.resize(text.size() - kPasteEnd.size());
    if (text.empty()) return CC_NORM;
    return el_insertstr(edit, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char OpenEditor(EditLine* edit, int) {
    const LineInfo* line = el_line(edit);
    const std::string text(line->buffer, line->lastchar);
    el_set(edit, EL_PREP_TERM, 0);
    const std::string edited = RunEditor(Of(edit)->editor, text);
    el_set(edit, EL_PREP_TERM, 1);
    DeleteLine(edit);
    if (!edited.empty()) el_insertstr(edit, edited.c_str());
    return CC_REDISPLAY;
  }

  // The text as the editor left it; the old one if it could not run.
  static std::string RunEditor(const std::string& editor, const std::string& text) {
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

  void Bind() {
    struct Key {
      const char* keys;
      const char* function;
    };
    struct Function {
      const char* name;
      unsigned char (*run)(EditLine*, int);
    };
    static constexpr Function kFunctions[] = {
        {"puna-interrupt", Interrupt}, {"puna-newline", InsertNewline}, {"puna-tab", InsertTab},
        {"puna-suspend", Suspend},     {"puna-paste", Paste},           {"puna-editor", OpenEditor},
    };
    static constexpr Key kKeys[] = {
        {"^C", "puna-interrupt"},     {"^M", "puna-newline"},  // Ctrl-J, see above
        {"^I", "puna-tab"},           {"^Z", "puna-suspend"},
        {"^G", "puna-editor"},        {"\\e[200~", "puna-paste"},
        {"^R", "em-inc-search-prev"}, {"^W", "ed-delete-prev-word"},
        {"^U", "vi-kill-line-prev"},  {"\\e[H", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},  {"\\e[1~", "ed-move-to-beg"},
        {"\\e[4~", "ed-move-to-end"}, {"\\e[3~", "ed-delete-next-char"},
        {"\\e[1;5D", "ed-prev-word"}, {"\\e[1;5C", "em-next-word"},
    };
    for (const Function& function : kFunctions)
      el_set(edit, EL_ADDFN, function.name, function.name, function.run);
    for (const Key& key : kKeys) el_set(edit, EL_BIND, key.keys, key.function, nullptr);
    el_set(edit, EL_SETTY, "-d", "-isig", nullptr);
  }
};

// Whom other programs ask for an editor.
static std::string UsualEditor() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "vi";
}

LineReader::LineReader(const fs::path& history_file, std::string editor)
    : state_(std::make_unique<State>()) {
  UseUtf8();
  State& s = *state_;
  s.history_file = history_file;
  s.editor = editor.empty() ? UsualEditor() : std::move(editor);
  s.edit = el_init("puna", stdin, stdout, stderr);
  s.history = history_init();
  HistEvent event;
  history(s.history, &event, H_SETSIZE, kHistoryLines);
  history(s.history, &event, H_SETUNIQUE, 1);
  if (!s.history_file.empty()) {
    std::error_code error;
    fs::create_directories(s.history_file.parent_path(), error);
    history(s.history, &event, H_LOAD, s.history_file.c_str());
  }
  el_set(s.edit, EL_CLIENTDATA, &s);
  el_set(s.edit, EL_EDITOR, "emacs");
  el_set(s.edit, EL_SIGNAL, 1);
  el_set(s.edit, EL_PROMPT, &State::Prompt);
  el_set(s.edit, EL_HIST, history, s.history);
  s.Bind();
}

LineReader::~LineReader() {
  history_end(state_->history);
  el_end(state_->edit);
}

void LineReader::SetHistory(bool on) { state_->history_on = on; }

TypedLine LineReader::Read(const std::string& prompt) {
  State& s = *state_;
  s.prompt = prompt;
  s.interrupted = false;
  // el_gets shows its prompt before it changes the terminal: what is typed between the two would be
  // echoed, and a Ctrl-C would end the program.
  el_set(s.edit, EL_PREP_TERM, 1);
  std::fputs(kPasteOn, stdout);
  std::fflush(stdout);
  int count = 0;
  const char* line = el_gets(s.edit, &count);
  std::fputs(kPasteOff, stdout);
  std::fflush(stdout);
  if (s.interrupted) return {.kind = TypedLine::Kind::kInterrupted};
  if (line == nullptr || count <= 0) return {.kind = TypedLine::Kind::kEnd};
  TypedLine typed{.kind = TypedLine::Kind::kLine, .text = line};
  if (typed.text.ends_with('\n')) typed.text.pop_back();
  if (s.history_on && !typed.text.empty()) {
    HistEvent event;
    history(s.history, &event, H_ENTER, typed.text.c_str());
    if (!s.history_file.empty()) {
      const mode_t mask = ::umask(077);  // what people ask is nobody else's business
      history(s.history, &event, H_SAVE, s.history_file.c_str());
      ::umask(mask);
    }
  }
  return typed;
}

}  // namespace puna::cli
