// puna completion, man and (for the scripts of completion) complete.
#include <cstdio>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/help_pages.h"
#include "store/store.h"

namespace puna::cli {
namespace {

struct ManOptions {
  std::string command, folder;
};

Status PrintManual(const CLI::App& app, const ManOptions& options) {
  if (options.folder.empty()) {
    PUNA_ASSIGN_OR_RETURN(const std::string page, ManualPage(app, options.command));
    std::fputs(page.c_str(), stdout);
    return {};
  }
  std::vector<std::string> names = CommandNames(app);
  names.insert(names.begin(), "");
  for (const std::string& name : names) {
    PUNA_ASSIGN_OR_RETURN(const std::string page, ManualPage(app, name));
    const std::string file = name.empty() ? "puna.1" : "puna-" + name + ".1";
    PUNA_RETURN_IF_ERROR(WriteFileAtomically(std::filesystem::path(options.folder) / file, page));
  }
  return {};
}

}  // namespace

void AddHelp(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command = app.add_subcommand("help", "Print what puna or a command can do");
  auto name = std::make_shared<std::string>();
  command->add_option("COMMAND", *name, "Of this command");
  command->callback([&app, name, chosen] {
    *chosen = [&app, name]() -> Status {
      PUNA_ASSIGN_OR_RETURN(const CLI::App* about, FindCommand(app, *name));
      // The program's own help() would be that of the command that was chosen, this one.
      const std::string title = app.get_name() + (about == &app ? "" : " " + about->get_name());
      const std::string text =
          about->get_formatter()->make_help(about, title, CLI::AppFormatMode::Normal);
      std::fputs(text.c_str(), stdout);
      return {};
    };
  });
}

void AddCompletion(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command =
      app.add_subcommand("completion", "Print the script that completes commands in a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  command->callback([&app, shell, chosen] {
    *chosen = [&app, shell]() -> Status {
      PUNA_ASSIGN_OR_RETURN(const std::string script, CompletionScript(app, *shell));
      std::fputs(script.c_str(), stdout);
      return {};
    };
  });
}

void AddComplete(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("complete", "Print the names of installed models");
  command->group("");
  command->callback([&context, chosen] {
    *chosen = [&context]() -> Status {
      for (const auto& model : store::Store(context.settings.models).List())
        std::printf("%s\n", model.name.ShortName().c_str());
      return {};
    };
  });
}

void AddManual(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command =
      app.add_subcommand("man", "Print the manual page of puna or of a command, for man -l -");
  auto options = std::make_shared<ManOptions>();
  command->add_option("COMMAND", options->command, "Of this command");
  command->add_option("--all", options->folder, "Write all pages into this folder instead");
  command->callback([&app, options, chosen] {
    *chosen = [&app, options] { return PrintManual(app, *options); };
  });
}

}  // namespace puna::cli
