// The coding agents that `puna launch` knows: programs of others that can talk to a server of
// models, and how each is told to talk to this one.
#ifndef PUNA_CLI_AGENTS_H_
#define PUNA_CLI_AGENTS_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace puna::cli {

// What an agent is pointed at.
struct AgentTarget {
  std::string base_url;  // without a slash at the end
  std::string key;       // never empty: agents insist on one, and a server without keys takes any
  std::string model;
  int64_t context = 0;  // tokens; 0: unknown
};

// How its program is called.
struct AgentCall {
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> arguments;  // before those of the user
};

struct Agent {
  const char* name;        // of the program, too
  const char* title;       // as its makers write it
  const char* alias = "";  // "": none
  const char* how_to_install;
  std::vector<const char*> places = {};  // folders below the home folder, beside PATH
  AgentCall (*call)(const AgentTarget& target);
  // The file that makes the settings last, below a folder that `folder_variable` can name instead
  // of `folder` in the home folder. "": it has none.
  const char* folder_variable = "";
  const char* folder = "";
  const char* file = "";
  // The content of that file, made from the one before ("": there is none). kCorrupt if that is not
  // understood.
  Result<std::string> (*edit)(const std::string& before, const AgentTarget& target) = nullptr;
  bool needs_file = false;  // the call alone does not say enough
};

std::span<const Agent> Agents();
// By name or alias. Of an agent that exists but is not launched, the error says how to point it at
// the server by hand.
Result<const Agent*> FindAgent(const std::string& name, const std::string& base_url);
// Where its program is; empty if it is not installed.
std::filesystem::path FindProgram(const Agent& agent);
// Empty if it has no file.
std::filesystem::path ConfigFile(const Agent& agent);

}  // namespace puna::cli

#endif  // PUNA_CLI_AGENTS_H_
