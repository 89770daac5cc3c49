// Lines typed by a person: editing, history, pasting and multi-line input at a terminal.
#ifndef PUNA_CLI_LINE_READER_H_
#define PUNA_CLI_LINE_READER_H_

#include <filesystem>
#include <memory>
#include <string>

namespace puna::cli {

struct TypedLine {
  enum class Kind { kLine, kInterrupted, kEnd };  // kEnd: Ctrl-D on an empty line, or no terminal
  Kind kind = Kind::kEnd;
  std::string text;  // without the final line break; it may have others, from Ctrl-J or pasting
};

// Standard input has to be a terminal. While one lives, the terminal marks what is pasted, also
// between two lines: it is part of the next one. One at a time; not thread safe.
class LineReader {
 public:
  // `history_file` keeps the last 100 lines; empty: none is read or written. `editor` is what
  // Ctrl-G opens the line in.
  LineReader(const std::filesystem::path& history_file, std::string editor);
  ~LineReader();
  TypedLine Read(const std::string& prompt);
  // Whether lines go into the history from now on.
  void SetHistory(bool on);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_LINE_READER_H_
