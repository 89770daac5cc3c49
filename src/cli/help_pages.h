// Shell completion and manual pages, made of the same description of the commands that --help
// prints. Thread safe.
#ifndef PUNA_CLI_HELP_PAGES_H_
#define PUNA_CLI_HELP_PAGES_H_

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"

namespace puna::cli {

// The script that a shell ("bash", "zsh" or "fish") reads; others are kInvalidArgument.
Result<std::string> CompletionScript(const CLI::App& app, const std::string& shell);

// The page in roff of the program, or of the command of that name (kNotFound).
Result<std::string> ManualPage(const CLI::App& app, const std::string& command);

// The command of that name or alias, "" for the program itself. kNotFound.
Result<const CLI::App*> FindCommand(const CLI::App& app, const std::string& name);

// The names of the commands that users see.
std::vector<std::string> CommandNames(const CLI::App& app);

}  // namespace puna::cli

#endif  // PUNA_CLI_HELP_PAGES_H_
