#include "cli/cli.h"

#include <cstdio>
#include <exception>
#include <string>

#include "api/version.h"
#include "base/log.h"
#include "cli/api_client.h"
#include "cli/commands.h"

namespace puna::cli {
namespace {

// The order is that of `puna --help`.
constexpr Registration kCommands[] = {
    AddServe,  AddRun,      AddCreate,  AddShow,     AddPull,      AddPush,
    AddList,   AddPs,       AddStop,    AddCopy,     AddRemove,    AddSearch,
    AddExport, AddImport,   AddImatrix, AddQuantize, AddDiskUsage, AddPrune,
    AddVerify, AddLogs,     AddDoctor,  AddSignIn,   AddHelp,      AddCompletion,
    AddManual, AddComplete, AddEval,    AddBench,    AddSynth};

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
  std::fprintf(stderr, "Error: %s\n", message.c_str());
  return context.error_exit_code;
}

// The border at which exceptions of libraries end, such as those of JSON whose fields have other
// types than the API says.
int Perform(const Action& action, const Context& context) {
  try {
    const Status done = action();
    return done ? 0 : Fail(context, done.error().message);
  } catch (const Json::exception& error) {
    return Fail(context, fmt::format("unexpected answer of the server: {}", error.what()));
  } catch (const std::exception& error) {
    return Fail(context, error.what());
  }
}

}  // namespace

int Main(int argc, char** argv) {
  Context context;
  context.settings = Settings::FromEnvironment();
  InitCommandLog(context.settings);

  CLI::App app(
      "Runs language models on this machine: Ollama's commands and API, with an engine of its own.",
      "puna");
  app.require_subcommand(0, 1);
  app.failure_message(CLI::FailureMessage::simple);
  bool version = false;
  app.add_flag("-v,--version", version, "Show the version");
  Action chosen;
  for (const Registration add : kCommands) add(app, context, &chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    const bool is_command = app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-';
    const std::string message =
        is_command ? fmt::format("unknown command \"{}\"; 'puna help' lists them", argv[1])
                   : error.what();
    return Fail(context, message);
  }
  if (version) {
    PrintVersion(context);
    return 0;
  }
  if (!chosen) {
    std::printf("%s", app.help().c_str());
    return 0;
  }
  return Perform(chosen, context);
}

}  // namespace puna::cli
