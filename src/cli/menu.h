// Questions to somebody at a terminal, and what `puna` without arguments offers.
#ifndef PUNA_CLI_MENU_H_
#define PUNA_CLI_MENU_H_

#include <optional>
#include <string>
#include <vector>

#include "base/settings.h"

namespace puna::cli {

// Are standard input and output a terminal, so that somebody can answer?
bool CanAsk();
// Lists `items` with numbers and reads one; an empty line is the first. Nothing if the user enters
// q or ends the input.
std::optional<size_t> Choose(const std::string& title, const std::vector<std::string>& items);
// A line; nothing if it is empty or the input ends.
std::optional<std::string> AskLine(const std::string& question);
// An empty line is yes.
bool AskYes(const std::string& question);

// The arguments of the command that the user put together; empty: none.
std::vector<std::string> AskForCommand(const Settings& settings);

}  // namespace puna::cli

#endif  // PUNA_CLI_MENU_H_
