#include "cli/help_pages.h"

#include <algorithm>

#include "api/version.h"
#include "base/settings.h"

namespace puna::cli {
namespace {

// What the shell offers for an argument that is no option.
enum class Completes { kModels, kFiles };

struct Flag {
  std::string long_name, short_name, description;  // without dashes; one of the names may be empty
  bool takes_value = false;
};

struct Command {
  std::vector<std::string> names;  // with its aliases
  std::string description;
  std::vector<Flag> flags;
  Completes arguments = Completes::kFiles;
};

std::vector<const CLI::Option*> VisibleOptions(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  std::vector<const CLI::App*> groups = {&app};
  for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (group->get_name().empty()) groups.push_back(group);
  }
  for (const CLI::App* group : groups) {
    for (const CLI::Option* option : group->get_options()) {
      if (!option->get_group().empty()) options.push_back(option);
    }
  }
  return options;
}

std::vector<const CLI::App*> VisibleCommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) {
    return !command->get_name().empty() && !command->get_group().empty();
  });
}

bool IsModelArgument(const CLI::Option& option) {
  const std::string name = option.get_name(true);
  return name == "MODEL" || name == "MODELS" || name == "SOURCE";
}

Command Describe(const CLI::App& app) {
  Command command;
  command.names = app.get_aliases();
  command.names.insert(command.names.begin(), app.get_name());
  command.description = app.get_description();
  for (const CLI::Option* option : VisibleOptions(app)) {
    if (option->get_positional()) {
      if (IsModelArgument(*option)) command.arguments = Completes::kModels;
      continue;
    }
    Flag flag;
    if (!option->get_lnames().empty()) flag.long_name = option->get_lnames()[0];
    if (!option->get_snames().empty()) flag.short_name = option->get_snames()[0];
    flag.description = option->get_description();
    flag.takes_value = option->get_items_expected_min() > 0;
    command.flags.push_back(std::move(flag));
  }
  return command;
}

std::vector<Command> DescribeAll(const CLI::App& app) {
  std::vector<Command> commands;
  for (const CLI::App* command : VisibleCommands(app)) commands.push_back(Describe(*command));
  return commands;
}

std::string Join(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string AllNames(const std::vector<Command>& commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.names[0]);
  return Join(names, " ");
}

std::string FlagWords(const Command& command) {
  std::vector<std::string> words;
  for (const Flag& flag : command.flags) {
    if (!flag.long_name.empty()) words.push_back("--" + flag.long_name);
    if (!flag.short_name.empty()) words.push_back("-" + flag.short_name);
  }
  return Join(words, " ");
}

// bash splits words at colons, which model names have: the word is taken from the line itself, and
// what bash already has of it is cut off the replies.
std::string BashScript(const std::vector<Command>& commands) {
  std::string script =
      "# Completion of puna for bash: source <(puna completion bash)\n"
      "_puna() {\n"
      "  local line=${COMP_LINE:0:COMP_POINT} words= options= models= word\n"
      "  local current=${line##* }\n"
      "  read -ra words <<< \"$line\"\n"
      "  local command=${words[1]}\n"
      "  [[ ${#words[@]} -lt 2 || ( ${#words[@]} -eq 2 && -n $current ) ]] && command=\n"
      "  case $command in\n";
  script += "    '') options='" + AllNames(commands) + " --help --version' ;;\n";
  for (const Command& command : commands) {
    script +=
        fmt::format("    {}) options='{}'{} ;;\n", Join(command.names, "|"), FlagWords(command),
                    command.arguments == Completes::kModels ? " models=1" : "");
  }
  script +=
      "  esac\n"
      "  COMPREPLY=()\n"
      "  if [[ $current == -* || -z $command ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
      "  else\n"
      "    [[ -n $models ]] && COMPREPLY=($(compgen -W \"$(puna complete 2>/dev/null)\" -- "
      "\"$current\"))\n"
      "    COMPREPLY+=($(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
      "    word=${current%\"${current##*:}\"}\n"
      "    COMPREPLY=(\"${COMPREPLY[@]#\"$word\"}\")\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _puna puna\n";
  return script;
}

std::string ZshScript(const std::vector<Command>& commands) {
  std::string script =
      "#compdef puna\n"
      "# Completion of puna for zsh: put it into a folder of $fpath as _puna, or\n"
      "# source <(puna completion zsh)\n"
      "_puna() {\n"
      "  local -a flags\n"
      "  local models=\n"
      "  if (( CURRENT == 2 )); then\n"
      "    compadd -- " +
      AllNames(commands) +
      " --help --version\n"
      "    return\n"
      "  fi\n"
      "  case $words[2] in\n";
  for (const Command& command : commands) {
    script += fmt::format("    {}) flags=({}){} ;;\n", Join(command.names, "|"), FlagWords(command),
                          command.arguments == Completes::kModels ? "; models=1" : "");
  }
  script +=
      "  esac\n"
      "  if [[ $PREFIX == -* ]]; then\n"
      "    compadd -- $flags\n"
      "  else\n"
      "    [[ -n $models ]] && compadd -- ${(f)\"$(puna complete 2>/dev/null)\"}\n"
      "    _files\n"
      "  fi\n"
      "}\n"
      "if [[ $funcstack[1] == _puna ]]; then _puna \"$@\"; else compdef _puna puna; fi\n";
  return script;
}

std::string FishQuote(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string FishScript(const std::vector<Command>& commands) {
  std::string script =
      "# Completion of puna for fish: puna completion fish | source\n"
      "complete -c puna -n __fish_use_subcommand -f -l help\n"
      "complete -c puna -n __fish_use_subcommand -f -l version\n";
  for (const Command& command : commands) {
    const std::string seen = FishQuote("__fish_seen_subcommand_from " + Join(command.names, " "));
    script += fmt::format("complete -c puna -n __fish_use_subcommand -f -a {} -d {}\n",
                          command.names[0], FishQuote(command.description));
    for (const Flag& flag : command.flags) {
      script += "complete -c puna -n " + seen;
      if (!flag.long_name.empty()) script += " -l " + flag.long_name;
      if (!flag.short_name.empty()) script += " -s " + flag.short_name;
      if (flag.takes_value) script += " -r";
      script += " -d " + FishQuote(flag.description) + "\n";
    }
    if (command.arguments == Completes::kModels)
      script += "complete -c puna -n " + seen + " -a '(puna complete)'\n";
  }
  return script;
}

// Backslashes, dashes (else typographic) and dots at the beginning of a line mean something to
// roff.
std::string Roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string Synopsis(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : VisibleOptions(command)) {
    if (!option->get_positional()) continue;
    const std::string name =
        option->get_name(true) + (option->get_items_expected_max() > 1 ? "..." : "");
    text += option->get_required() ? " " + name : " [" + name + "]";
  }
  return text;
}

std::string OptionLines(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : VisibleOptions(command)) {
    std::string name;
    if (option->get_positional()) {
      name = option->get_name(true);
    } else {
      for (const std::string& one : option->get_snames()) name += ", -" + one;
      for (const std::string& one : option->get_lnames()) name += ", --" + one;
      name.erase(0, 2);
      if (option->get_items_expected_min() > 0) name += " " + option->get_type_name();
    }
    text += ".TP\n\\fB" + Roff(name) + "\\fR\n" + Roff(option->get_description()) + "\n";
  }
  return text;
}

std::string CommandPage(const CLI::App& command) {
  const std::string name = "puna " + command.get_name();
  std::string page = fmt::format(".TH \"PUNA-{}\" 1 \"\" \"puna {}\" \"Commands of puna\"\n",
                                 command.get_name(), api::kVersion);
  page += ".SH NAME\n" + Roff("puna-" + command.get_name()) + " \\- " +
          Roff(command.get_description()) + "\n";
  page +=
      ".SH SYNOPSIS\n\\fB" + Roff(name) + "\\fR [\\fIoptions\\fR]" + Roff(Synopsis(command)) + "\n";
  const auto parts = VisibleCommands(command);
  if (!parts.empty()) page += ".SH COMMANDS\n";
  for (const CLI::App* part : parts) {
    page += ".SS " + Roff(name + " " + part->get_name() + Synopsis(*part)) + "\n" +
            Roff(part->get_description()) + "\n" + OptionLines(*part);
  }
  page += ".SH OPTIONS\n" + OptionLines(command);
  if (!command.get_footer().empty())
    page += ".SH SETTINGS\n.nf\n" + Roff(command.get_footer()) + ".fi\n";
  return page + ".SH SEE ALSO\n.BR puna (1)\n";
}

std::string ProgramPage(const CLI::App& app) {
  std::string page =
      fmt::format(".TH \"PUNA\" 1 \"\" \"puna {}\" \"Commands of puna\"\n", api::kVersion);
  page += ".SH NAME\npuna \\- runs language models on this machine\n";
  page += ".SH SYNOPSIS\n\\fBpuna\\fR \\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n";
  page += ".SH DESCRIPTION\n" + Roff(app.get_description()) + "\n.SH COMMANDS\n";
  for (const CLI::App* command : VisibleCommands(app)) {
    page += ".TP\n\\fB" + Roff("puna " + command->get_name()) + "\\fR\n" +
            Roff(command->get_description()) + "\n";
  }
  page += ".SH OPTIONS\n" + OptionLines(app) + ".SH ENVIRONMENT\n";
  for (const SettingDescription& setting : DescribeSettings()) {
    page += ".TP\n\\fBPUNA_" + std::string(setting.name) + "\\fR" +
            (setting.ollama ? ", \\fBOLLAMA_" + std::string(setting.name) + "\\fR" : "") + "\n" +
            Roff(setting.description) + "\n";
  }
  std::vector<std::string> pages;
  for (const CLI::App* command : VisibleCommands(app))
    pages.push_back(".BR puna-" + command->get_name() + " (1)");
  return page + ".SH SEE ALSO\n" + Join(pages, ",\n") + "\n";
}

}  // namespace

Result<std::string> CompletionScript(const CLI::App& app, const std::string& shell) {
  const std::vector<Command> commands = DescribeAll(app);
  if (shell == "bash") return BashScript(commands);
  if (shell == "zsh") return ZshScript(commands);
  if (shell == "fish") return FishScript(commands);
  return MakeError(ErrorCode::kInvalidArgument, "\"{}\" is not one of bash, zsh, fish", shell);
}

Result<const CLI::App*> FindCommand(const CLI::App& app, const std::string& name) {
  if (name.empty()) return &app;
  for (const CLI::App* command : VisibleCommands(app)) {
    if (command->check_name(name)) return command;
  }
  return MakeError(ErrorCode::kNotFound, "there is no command \"{}\"", name);
}

Result<std::string> ManualPage(const CLI::App& app, const std::string& command) {
  PUNA_ASSIGN_OR_RETURN(const CLI::App* found, FindCommand(app, command));
  return found == &app ? ProgramPage(app) : CommandPage(*found);
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : VisibleCommands(app)) names.push_back(command->get_name());
  return names;
}

}  // namespace puna::cli
