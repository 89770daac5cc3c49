// The lines that were typed before, in memory and in a file. Not thread safe.
#ifndef PUNA_CLI_LINE_HISTORY_H_
#define PUNA_CLI_LINE_HISTORY_H_

#include <filesystem>
#include <string>
#include <vector>

namespace puna::cli {

// The file has a line for each, with \ooo for what is no text on a line; libedit's files are read,
// too. It is nobody's business but the user's, and written as such (mode 0600). Chats that run at
// the same time append to it in turn; what others add is seen by the next one.
class LineHistory {
 public:
  // Empty: none is read or written.
  explicit LineHistory(std::filesystem::path file);
  // The oldest first, at most 100.
  const std::vector<std::string>& lines() const { return lines_; }
  // Nothing happens for an empty line, or the one that was added last.
  void Add(const std::string& line);

 private:
  std::filesystem::path file_;
  std::vector<std::string> lines_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_LINE_HISTORY_H_
