// puna launch [AGENT] [-- ARGS]: points a coding agent at this server and starts it.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>

#include "base/file.h"
#include "cli/agents.h"
#include "cli/commands.h"
#include "cli/config_backup.h"
#include "cli/human.h"
#include "cli/menu.h"
#include "cli/own_server.h"
#include "cli/registry_commands.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

struct LaunchOptions {
  std::string agent, model;
  std::vector<std::string> arguments;
  bool configure = false, restore = false, yes = false;

  bool OnlyAgent() const {
    return model.empty() && arguments.empty() && !configure && !restore && !yes;
  }
};

ConfigBackup BackupOf(const Agent& agent) {
  return {ConfigFile(agent), HomeDirectory() / ".puna" / "backup" / agent.name};
}

void PrintAgents() {
  std::vector<std::vector<std::string>> rows = {{"NAME", "AGENT", "INSTALLED", "TO INSTALL"}};
  for (const Agent& agent : Agents()) {
    const bool here = !FindProgram(agent).empty();
    rows.push_back({agent.name, agent.title, here ? "yes" : "no", agent.how_to_install});
  }
  std::printf("%s", FormatTable(rows).c_str());
}

Status NotInstalled(const Agent& agent) {
  return MakeError(ErrorCode::kNotFound, "{} is not installed ({} is not in PATH); to install: {}",
                   agent.title, agent.name, agent.how_to_install);
}

// The model that the user names or picks among those that write text.
Result<std::string> PickModel(const ApiClient& client, const LaunchOptions& options) {
  if (!options.model.empty()) return options.model;
  PUNA_ASSIGN_OR_RETURN(const Json tags, client.Get("/api/tags"));
  std::vector<std::string> names;
  for (const Json& model : tags.value("models", Json::array())) {
    const bool writes = !model.contains("capabilities") || HasCapability(model, "completion");
    if (writes) names.push_back(JsonString(model, "name"));
  }
  if (names.empty())
    return MakeError(ErrorCode::kNotFound, "no model is installed: puna pull MODEL");
  if (names.size() == 1 || options.yes) return names[0];
  if (!CanAsk()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "name a model with --model, or take the newest with --yes");
  }
  const auto chosen = Choose("Which model?", names);
  if (!chosen) return MakeError(ErrorCode::kCancelled, "no model was chosen");
  return names[*chosen];
}

// What the server says of the model, after pulling it where it is missing and the user agrees.
Result<Json> Describe(const ApiClient& client, const std::string& model, bool yes) {
  auto shown = client.Post("/api/show", {{"model", model}});
  if (shown || shown.error().code != ErrorCode::kNotFound) return shown;
  if (!yes && !(CanAsk() && AskYes(fmt::format("{} is not installed. Pull it?", model)))) {
    return MakeError(ErrorCode::kNotFound, "{} (puna pull {}, or --yes, fetches it)",
                     shown.error().message, model);
  }
  PUNA_RETURN_IF_ERROR(PullModel(client, model, /*insecure=*/false));
  return client.Post("/api/show", {{"model", model}});
}

int64_t ContextOf(const Json& show) {
  const Json info = show.value("model_info", Json::object());
  const Json length =
      info.value(JsonString(info, "general.architecture") + ".context_length", Json());
  return length.is_number_integer() ? length.get<int64_t>() : 0;
}

Result<AgentTarget> MakeTarget(const Settings& settings, const ApiClient& client,
                               const LaunchOptions& options) {
  AgentTarget target;
  target.base_url = client.base_url();
  target.key = settings.api_key.empty() ? "puna" : settings.api_key;
  PUNA_ASSIGN_OR_RETURN(target.model, PickModel(client, options));
  PUNA_ASSIGN_OR_RETURN(const Json show, Describe(client, target.model, options.yes));
  target.context = ContextOf(show);
  if (!HasCapability(show, "tools")) {
    std::fprintf(stderr,
                 "Warning: %s was not made for calling tools, which agents need to read and change "
                 "files\n",
                 target.model.c_str());
  }
  return target;
}

std::string ShellQuoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// Without a file, what is to be typed.
void PrintCall(const Agent& agent, const AgentTarget& target) {
  const AgentCall call = agent.call(target);
  std::printf("%s has no file for this, it is started so:\n\n\tenv", agent.title);
  for (const auto& [name, value] : call.environment)
    std::printf(" %s=%s", name.c_str(), ShellQuoted(value).c_str());
  std::printf(" %s", agent.name);
  for (const std::string& argument : call.arguments)
    std::printf(" %s", ShellQuoted(argument).c_str());
  std::printf("\n");
}

Status WriteConfig(const Agent& agent, const AgentTarget& target) {
  const std::string file = ConfigFile(agent).string();
  const ConfigBackup backup = BackupOf(agent);
  PUNA_ASSIGN_OR_RETURN(const std::string before, backup.Read());
  auto content = agent.edit(before, target);
  if (!content) return WithContext(std::move(content).error(), file);
  PUNA_RETURN_IF_ERROR(backup.Write(*content));
  std::fprintf(stderr, "wrote %s (puna launch %s --restore undoes it)\n", file.c_str(), agent.name);
  return {};
}

Status Restore(const Agent& agent) {
  if (agent.edit == nullptr) {
    std::printf("puna changes no file of %s\n", agent.title);
    return {};
  }
  const ConfigBackup backup = BackupOf(agent);
  PUNA_ASSIGN_OR_RETURN(const bool restored, backup.Restore());
  std::printf(restored ? "%s is as it was before puna changed it; copies are in %s\n"
                       : "%s was not changed by puna%.0s\n",
              ConfigFile(agent).c_str(), backup.folder().c_str());
  return {};
}

// Runs the program at this terminal, and tells how it ended.
Result<int> RunProgram(const std::filesystem::path& program, const AgentCall& call,
                       const std::vector<std::string>& more) {
  std::map<std::string, std::string> variables;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text = *one;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : call.environment) variables[name] = value;
  std::vector<std::string> environment, arguments = {program.string()};
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  arguments.insert(arguments.end(), call.arguments.begin(), call.arguments.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  const InterruptScope interrupt;  // Ctrl-C is for the agent
  pid_t child = 0;
  if (const int failed = ::posix_spawn(&child, program.c_str(), nullptr, nullptr,
                                       pointers(arguments).data(), pointers(environment).data());
      failed != 0) {
    return ErrnoError(failed, program.string());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoError(errno, program.string());
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Status Launch(Context& context, const LaunchOptions& options) {
  const Settings& settings = context.settings;
  if (options.agent.empty()) {
    if (options.OnlyAgent()) {
      PrintAgents();
      return {};
    }
    return MakeError(ErrorCode::kInvalidArgument,
                     "flags and arguments need the name of an agent: puna launch claude --model "
                     "MODEL");
  }
  const ApiClient configured(settings);
  PUNA_ASSIGN_OR_RETURN(const Agent* agent, FindAgent(options.agent, configured.base_url()));
  if (options.restore) return Restore(*agent);
  const auto program = FindProgram(*agent);
  if (program.empty() && !options.configure) return NotInstalled(*agent);
  // An address that is written down has to be there tomorrow; one in the environment may be that of
  // a server that lives as long as the agent.
  std::optional<ServerAccess> own;
  if (!options.configure && !agent->needs_file) {
    PUNA_ASSIGN_OR_RETURN(own, ServerAccess::Connect(settings));
  }
  PUNA_ASSIGN_OR_RETURN(const AgentTarget target,
                        MakeTarget(settings, own ? own->client() : configured, options));
  if (agent->edit != nullptr && (options.configure || agent->needs_file))
    PUNA_RETURN_IF_ERROR(WriteConfig(*agent, target));
  if (options.configure) {
    if (agent->edit == nullptr) PrintCall(*agent, target);
    return {};
  }
  PUNA_ASSIGN_OR_RETURN(const int code,
                        RunProgram(program, agent->call(target), options.arguments));
  if (code == 0) return {};
  context.error_exit_code = code;
  return MakeError(ErrorCode::kInternal, "{} ended with exit code {}", agent->name, code);
}

}  // namespace

void AddLaunch(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "launch", "Start a coding agent (claude, codex, opencode, ...) with models of this server");
  auto options = std::make_shared<LaunchOptions>();
  command->add_option("AGENT", options->agent, "Without one: the agents that puna knows");
  command->add_option("ARGS", options->arguments, "After --: arguments of the agent itself");
  command->add_option("--model", options->model, "Model to use (asked for otherwise)");
  command->add_flag("--config", options->configure,
                    "Write the agent's configuration file and do not start it");
  command->add_flag("--restore", options->restore,
                    "Bring back the configuration file as it was before puna changed it");
  command->add_flag("-y,--yes", options->yes,
                    "Ask nothing: take the newest model, pull one that is missing");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Launch(context, *options); };
  });
}

}  // namespace puna::cli
