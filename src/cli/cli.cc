#include "cli/cli.h"

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "api/version.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/menu.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

// The order is that of `puna --help`.
constexpr Registration kCommands[] = {
    AddServe,   AddRun,      AddCreate,    AddShow,   AddPull,       AddPush,   AddList,
    AddPs,      AddStop,     AddCopy,      AddRemove, AddSearch,     AddExport, AddImport,
    AddImatrix, AddQuantize, AddDiskUsage, AddPrune,  AddVerify,     AddLogs,   AddDoctor,
    AddLaunch,  AddSignIn,   AddSignOut,   AddHelp,   AddCompletion, AddManual, AddComplete,
    AddEval,    AddBench,    AddSynth};

// The version of this program, and that of the server where it is another.
void PrintVersion(const Context& context) {
  std::printf("puna version is %s\n", api::kVersion);
  const ApiClient client(context.settings);
  const auto answer = client.Get("/api/version");
  if (!answer) {
    std::printf("Warning: could not connect to a running puna server\n");
    return;
  }
  const std::string server = JsonString(*answer, "puna", JsonString(*answer, "version"));
  if (server != api::kVersion)
    std::printf("Warning: the server at %s has version %s\n", client.base_url().c_str(),
                server.c_str());
}

void InitCommandLog(const Settings& settings) {
  const LogLevel level = settings.debug >= 2   ? LogLevel::kTrace
                         : settings.debug == 1 ? LogLevel::kDebug
                                               : LogLevel::kInfo;
  InitLog(level);
}

int Fail(const Context& context, const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "Error: %s\n", Shortened(message).c_str());
  return context.error_exit_code;
}

// The border at which exceptions of libraries end, such as those of JSON whose fields have other
// types than the API says.
int Perform(const Action& action, const Context& context) {
  try {
    Status done = action();
    if (done) done = CheckThatOutputIsWritten();
    return done ? 0 : Fail(context, done.error().message);
  } catch (const Json::exception& error) {
    return Fail(context, fmt::format("unexpected answer of the server: {}", error.what()));
  } catch (const std::exception& error) {
    return Fail(context, error.what());
  }
}

// What the menu ends in is a command like any other, and shown, so that next time it can be typed.
int RunChosenCommand(const Settings& settings, char* program, std::vector<std::string> chat_flags) {
  std::vector<std::string> arguments = AskForCommand(settings);
  if (arguments.empty()) return 0;
  if (arguments[0] == "run")
    std::move(chat_flags.begin(), chat_flags.end(), std::back_inserter(arguments));
  std::printf("\n$ puna");
  std::vector<char*> argv = {program};
  for (std::string& argument : arguments) {
    std::printf(" %s", argument.c_str());
    argv.push_back(argument.data());
  }
  std::printf("\n");
  std::fflush(stdout);
  argv.push_back(nullptr);
  return Main(static_cast<int>(argv.size()) - 1, argv.data());
}

}  // namespace

int Main(int argc, char** argv) {
  Context context;
  InitLog(LogLevel::kInfo);  // for what is wrong with settings
  context.settings = Settings::FromEnvironment();
  InitCommandLog(context.settings);

  CLI::App app(
      "Runs language models on this machine: Ollama's commands and API, with an engine of its own.",
      "puna");
  app.require_subcommand(0, 1);
  app.failure_message(CLI::FailureMessage::simple);
  bool version = false, verbose = false, no_word_wrap = false;
  app.add_flag("-v,--version", version, "Show the version");
  app.add_flag("--verbose", verbose, "Of the menu's chat: print times and token counts");
  app.add_flag("--nowordwrap", no_word_wrap,
               "Of the menu's chat: do not break lines at the width of the terminal");
  Action chosen;
  for (const Registration add : kCommands) add(app, context, &chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    const auto commands = app.get_subcommands();
    const bool is_command = commands.empty() && argc > 1 && argv[1][0] != '-';
    std::string message =
        is_command ? fmt::format("unknown command \"{}\"; 'puna help' lists them", argv[1])
                   : error.what();
    if (!commands.empty())
      message += fmt::format("; 'puna help {}' lists its arguments", commands[0]->get_name());
    return Fail(context, message);
  }
  if (version) {
    PrintVersion(context);
    return 0;
  }
  if (!chosen) {
    std::vector<std::string> flags;
    if (verbose) flags.emplace_back("--verbose");
    if (no_word_wrap) flags.emplace_back("--nowordwrap");
    if (CanAsk()) return RunChosenCommand(context.settings, argv[0], std::move(flags));
    std::printf("%s", app.help().c_str());
    return 0;
  }
  return Perform(chosen, context);
}

}  // namespace puna::cli
