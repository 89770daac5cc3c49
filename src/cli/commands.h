// The table of commands: one file and one line each. A command describes its arguments to CLI11 and
// runs when chosen.
#ifndef PUNA_CLI_COMMANDS_H_
#define PUNA_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/settings.h"

namespace puna::cli {

// What commands share.
struct Context {
  Settings settings;
  int error_exit_code = 1;  // of the program when the chosen action fails
};

// What a chosen command does; an error is printed and ends the program with
// Context::error_exit_code.
using Action = std::function<Status()>;

// Adds the command to `app`; when the user chose it, `*chosen` is its action.
using Registration = void (*)(CLI::App& app, Context& context, Action* chosen);

void AddServe(CLI::App& app, Context& context, Action* chosen);
void AddRun(CLI::App& app, Context& context, Action* chosen);
void AddCreate(CLI::App& app, Context& context, Action* chosen);
void AddShow(CLI::App& app, Context& context, Action* chosen);
void AddList(CLI::App& app, Context& context, Action* chosen);
void AddPull(CLI::App& app, Context& context, Action* chosen);
void AddPush(CLI::App& app, Context& context, Action* chosen);
void AddPs(CLI::App& app, Context& context, Action* chosen);
void AddStop(CLI::App& app, Context& context, Action* chosen);
void AddCopy(CLI::App& app, Context& context, Action* chosen);
void AddRemove(CLI::App& app, Context& context, Action* chosen);
void AddImatrix(CLI::App& app, Context& context, Action* chosen);
void AddQuantize(CLI::App& app, Context& context, Action* chosen);
void AddSearch(CLI::App& app, Context& context, Action* chosen);
void AddExport(CLI::App& app, Context& context, Action* chosen);
void AddImport(CLI::App& app, Context& context, Action* chosen);
void AddDiskUsage(CLI::App& app, Context& context, Action* chosen);
void AddPrune(CLI::App& app, Context& context, Action* chosen);
void AddVerify(CLI::App& app, Context& context, Action* chosen);
void AddLogs(CLI::App& app, Context& context, Action* chosen);
void AddDoctor(CLI::App& app, Context& context, Action* chosen);
void AddSignIn(CLI::App& app, Context& context, Action* chosen);
void AddSignOut(CLI::App& app, Context& context, Action* chosen);
void AddLaunch(CLI::App& app, Context& context, Action* chosen);
void AddHelp(CLI::App& app, Context& context, Action* chosen);
void AddCompletion(CLI::App& app, Context& context, Action* chosen);
void AddManual(CLI::App& app, Context& context, Action* chosen);
void AddComplete(CLI::App& app, Context& context, Action* chosen);
void AddEval(CLI::App& app, Context& context, Action* chosen);
void AddBench(CLI::App& app, Context& context, Action* chosen);
void AddSynth(CLI::App& app, Context& context, Action* chosen);

}  // namespace puna::cli

#endif  // PUNA_CLI_COMMANDS_H_
