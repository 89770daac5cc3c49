// The commands of the interactive chat that begin with a slash.
#ifndef PUNA_CLI_SLASH_COMMANDS_H_
#define PUNA_CLI_SLASH_COMMANDS_H_

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/chat_session.h"

namespace puna::cli {

// "/set parameter temperature 0.5" is {"/set", "parameter", "temperature", "0.5"}.
std::vector<std::string> SplitWords(std::string_view line);

// A friend of ChatSession, so that the session's own file is about the conversation only.
struct SlashCommands {
  // Is the line one, rather than text that begins with a slash: a path, or text of several lines
  // that was pasted? Of the commands only "/set system" takes several.
  static bool Is(const std::string& line);
  // Runs it. What the user did wrong is printed; an error means the server is gone.
  static Result<ChatSession::Next> Run(ChatSession& session, const std::string& line);
};

}  // namespace puna::cli

#endif  // PUNA_CLI_SLASH_COMMANDS_H_
