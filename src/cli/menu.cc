#include "cli/menu.h"

#include <charconv>
#include <cstdio>
#include <iostream>

#include "api/version.h"
#include "base/text.h"
#include "cli/agents.h"
#include "cli/terminal.h"
#include "store/store.h"

namespace puna::cli {
namespace {

std::optional<std::string> ReadLine() {
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) {
    std::printf("\n");
    return std::nullopt;
  }
  return std::string(WithoutSpaceAround(line));
}

std::vector<std::string> AskForModel(const Settings& settings) {
  std::vector<std::string> names;
  for (const auto& model : store::Store(settings.models).List())
    names.push_back(model.name.ShortName());
  const auto chosen = Choose("Which model?", names);
  if (!chosen) return {};
  return {"run", names[*chosen]};
}

std::vector<std::string> AskForPull() {
  const auto name = AskLine("Name of the model (llama3.2, hf.co/USER/REPO:Q4_K_M, a URL): ");
  if (!name) return {};
  return {"pull", *name};
}

std::vector<std::string> AskForAgent() {
  std::vector<std::string> lines;
  for (const Agent& agent : Agents())
    lines.push_back(agent.title +
                    std::string(FindProgram(agent).empty() ? " (not installed)" : ""));
  const auto chosen = Choose("Which agent?", lines);
  if (!chosen) return {};
  return {"launch", Agents()[*chosen].name};
}

}  // namespace

bool CanAsk() { return StdinIsTerminal() && StdoutIsTerminal(); }

std::optional<size_t> Choose(const std::string& title, const std::vector<std::string>& items) {
  std::printf("%s\n", title.c_str());
  for (size_t i = 0; i < items.size(); ++i) std::printf("  %2zu  %s\n", i + 1, items[i].c_str());
  while (true) {
    std::printf("Number (Enter: 1, q: quit): ");
    const auto line = ReadLine();
    if (!line || *line == "q") return std::nullopt;
    size_t number = line->empty() ? 1 : 0;
    std::from_chars(line->data(), line->data() + line->size(), number);
    if (number >= 1 && number <= items.size()) return number - 1;
    std::printf("There is no %s.\n", line->c_str());
  }
}

std::optional<std::string> AskLine(const std::string& question) {
  std::printf("%s", question.c_str());
  auto line = ReadLine();
  if (line && line->empty()) line.reset();
  return line;
}

bool AskYes(const std::string& question) {
  std::printf("%s [Y/n] ", question.c_str());
  const auto line = ReadLine();
  return line && (line->empty() || *line == "y" || *line == "Y" || *line == "yes");
}

std::vector<std::string> AskForCommand(const Settings& settings) {
  const auto chosen = Choose(std::string("puna ") + api::kVersion,
                             {"Chat with a model", "Pull a model", "Launch a coding agent",
                              "List the installed models", "Help"});
  if (!chosen) return {};
  switch (*chosen) {
    case 0:
      return AskForModel(settings);
    case 1:
      return AskForPull();
    case 2:
      return AskForAgent();
    case 3:
      return {"list"};
    default:
      return {"help"};
  }
}

}  // namespace puna::cli
