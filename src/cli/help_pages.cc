#include "cli/help_pages.h"

#include <algorithm>

#include "api/version.h"
#include "base/settings.h"
#include "cli/agents.h"
#include "store/file_type.h"

namespace puna::cli {
namespace {

// What the shell offers for an argument.
struct Offer {
  bool models = false, files = false;
  std::string words;  // between blanks
};

struct Flag {
  std::vector<std::string> names;  // with dashes
  std::string description;
  bool takes_value = false;
  Offer value;
};

struct Argument {
  Offer offer;
  bool repeats = false;
};

struct Command {
  std::vector<std::string> names;  // with its aliases
  std::string description;
  std::vector<Flag> flags;
  std::vector<Argument> arguments;  // in their order
};

std::vector<const CLI::Option*> VisibleOptions(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  std::vector<const CLI::App*> groups = {&app};
  for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (group->get_name().empty()) groups.push_back(group);
  }
  for (const CLI::App* group : groups) {
    for (const CLI::Option* option : group->get_options()) {
      // A group has a --help of its own, which is that of the command.
      if (group != &app && option == group->get_help_ptr()) continue;
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

std::string Join(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

// By the name of the option, which means the same in every command.
Offer OfferOf(const CLI::App& program, const CLI::Option& option) {
  const std::string name = option.get_positional() ? option.get_name(true) : option.get_lnames()[0];
  Offer offer;
  if (name == "MODEL" || name == "MODELS" || name == "SOURCE") {
    offer.models = offer.files = true;
  } else if (name == "model" || name == "PREFIX") {
    offer.models = true;
  } else if (name == "AGENT") {
    for (const Agent& agent : Agents()) offer.words += fmt::format("{} ", agent.name);
  } else if (name == "COMMAND") {
    offer.words = Join(CommandNames(program), " ");
  } else if (name == "SHELL") {
    offer.words = "bash zsh fish";
  } else if (name == "TYPE" || name == "quantize" || name == "draft-quantize") {
    offer.words = store::WritableFileTypes();
    std::erase(offer.words, ',');
  } else if (name == "kv-type") {
    offer.words = "f32 f16 q8_0";
  } else if (name == "format") {
    offer.words = "json";
  } else {
    offer.files = name != "ARGS" && name != "DESTINATION" && name != "WORDS" && name != "NAME";
  }
  return offer;
}

Command Describe(const CLI::App& program, const CLI::App& app) {
  Command command;
  command.names = app.get_aliases();
  command.names.insert(command.names.begin(), app.get_name());
  command.description = app.get_description();
  for (const CLI::Option* option : VisibleOptions(app)) {
    if (option->get_positional()) {
      command.arguments.push_back(
          {OfferOf(program, *option), option->get_items_expected_max() > 1});
      continue;
    }
    Flag flag;
    for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
    flag.description = option->get_description();
    flag.takes_value = option->get_items_expected_min() > 0;
    if (flag.takes_value && !option->get_lnames().empty()) flag.value = OfferOf(program, *option);
    command.flags.push_back(std::move(flag));
  }
  return command;
}

std::vector<Command> DescribeAll(const CLI::App& app) {
  std::vector<Command> commands;
  for (const CLI::App* command : VisibleCommands(app)) commands.push_back(Describe(app, *command));
  return commands;
}

std::string AllNames(const std::vector<Command>& commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.names[0]);
  return Join(names, " ");
}

std::string FlagWords(const Command& command) {
  std::vector<std::string> words;
  for (const Flag& flag : command.flags)
    words.insert(words.end(), flag.names.begin(), flag.names.end());
  return Join(words, " ");
}

// Assignments of an offer, for bash ("words='...'") and zsh ("words=(...)").
std::string Assign(const Offer& offer, const char* quotes) {
  return fmt::format("offered={}{}{} models={} files={}", quotes[0], offer.words, quotes[1],
                     offer.models ? "1" : "", offer.files ? "1" : "");
}

// The lines of a "case COMMAND:FLAG" that say what may follow a flag.
std::string FlagValueCases(const std::vector<Command>& commands, const char* quotes) {
  std::string cases;
  for (const Command& command : commands) {
    for (const Flag& flag : command.flags) {
      if (!flag.takes_value) continue;
      std::vector<std::string> patterns;
      for (const std::string& flag_name : flag.names) {
        for (const std::string& name : command.names) patterns.push_back(name + ":" + flag_name);
      }
      cases += fmt::format("    {}) {} ;;\n", Join(patterns, "|"), Assign(flag.value, quotes));
    }
  }
  return cases;
}

// The flags after which a value stands.
std::string ValueFlagWords(const Command& command) {
  std::vector<std::string> words;
  for (const Flag& flag : command.flags) {
    if (flag.takes_value) words.insert(words.end(), flag.names.begin(), flag.names.end());
  }
  return Join(words, " ");
}

// The lines of a "case COMMAND:N" that say what may be argument N, from 0 on.
std::string ArgumentCases(const std::vector<Command>& commands, const char* quotes) {
  std::string cases;
  for (const Command& command : commands) {
    for (size_t i = 0; i < command.arguments.size(); ++i) {
      const Argument& argument = command.arguments[i];
      std::vector<std::string> patterns;
      for (const std::string& name : command.names)
        patterns.push_back(name + ":" + (argument.repeats ? "*" : std::to_string(i)));
      cases += fmt::format("    {}) {} ;;\n", Join(patterns, "|"), Assign(argument.offer, quotes));
    }
  }
  return cases;
}

// bash splits words at colons, which model names have: the word is taken from the line itself, and
// what bash already has of it is cut off the replies.
std::string BashScript(const std::vector<Command>& commands) {
  std::string script =
      "# Completion of puna for bash: source <(puna completion bash)\n"
      "_puna() {\n"
      "  local line=${COMP_LINE:0:COMP_POINT} typed= options= offered= models= files= word i n=0\n"
      "  local current=${line##* } before=${line% *}\n"
      "  read -ra typed <<< \"$line\"\n"
      "  local command=${typed[1]} count=${#typed[@]} valued=\n"
      "  [[ -n $current ]] && ((count--))\n"
      "  [[ ${#typed[@]} -lt 2 || ( ${#typed[@]} -eq 2 && -n $current ) ]] && command=\n"
      "  case $command in\n";
  script += "    '') options='" + AllNames(commands) + " --help --version' ;;\n";
  for (const Command& command : commands) {
    script += fmt::format("    {}) options='{}' valued=' {} ' ;;\n", Join(command.names, "|"),
                          FlagWords(command), ValueFlagWords(command));
  }
  script +=
      "  esac\n"
      "  for ((i = 2; i < count; i++)); do\n"
      "    if [[ ${typed[i]} != -* ]]; then\n"
      "      ((n++))\n"
      "    elif [[ $valued == *\" ${typed[i]} \"* ]]; then\n"
      "      ((i++))\n"
      "    fi\n"
      "  done\n"
      "  case $command:$n in\n" +
      ArgumentCases(commands, "''") + "  esac\n  case $command:${before##* } in\n" +
      FlagValueCases(commands, "''");
  script +=
      "  esac\n"
      "  COMPREPLY=()\n"
      "  if [[ $current == -* || -z $command ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
      "  else\n"
      "    [[ -n $models ]] && offered+=\" $(puna complete 2>/dev/null)\"\n"
      "    COMPREPLY=($(compgen -W \"$offered\" -- \"$current\"))\n"
      "    [[ -n $files ]] && COMPREPLY+=($(compgen -f -- \"$current\"))\n"
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
      "  local -a flags valued offered\n"
      "  local models= files= i n=0\n"
      "  if (( CURRENT == 2 )); then\n"
      "    compadd -- " +
      AllNames(commands) +
      " --help --version\n"
      "    return\n"
      "  fi\n"
      "  case $words[2] in\n";
  for (const Command& command : commands) {
    script += fmt::format("    {}) flags=({}) valued=({}) ;;\n", Join(command.names, "|"),
                          FlagWords(command), ValueFlagWords(command));
  }
  script +=
      "  esac\n"
      "  for (( i = 3; i < CURRENT; i++ )); do\n"
      "    if [[ $words[i] != -* ]]; then\n"
      "      (( n++ ))\n"
      "    elif (( $valued[(Ie)$words[i]] )); then\n"
      "      (( i++ ))\n"
      "    fi\n"
      "  done\n"
      "  case $words[2]:$n in\n" +
      ArgumentCases(commands, "()") + "  esac\n  case $words[2]:$words[CURRENT-1] in\n" +
      FlagValueCases(commands, "()");
  script +=
      "  esac\n"
      "  if [[ $PREFIX == -* ]]; then\n"
      "    compadd -- $flags\n"
      "  else\n"
      "    (( $#offered )) && compadd -- $offered\n"
      "    [[ -n $models ]] && compadd -- ${(f)\"$(puna complete 2>/dev/null)\"}\n"
      "    [[ -n $files ]] && _files\n"
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

// The options of fish's complete that say the same; "" where files are all.
std::string FishOffer(const Offer& offer) {
  std::string words = offer.models ? "(puna complete)" : "";
  words += (words.empty() || offer.words.empty() ? "" : " ") + offer.words;
  return (offer.files ? "" : " -f") + (words.empty() ? "" : " -a " + FishQuote(words));
}

std::string FishScript(const std::vector<Command>& commands) {
  std::string script =
      "# Completion of puna for fish: puna completion fish | source\n"
      "# How many arguments of the command stand before the cursor; its flags that take a value "
      "are\n"
      "# given.\n"
      "function __puna_arguments\n"
      "  set -l n 0\n"
      "  set -l skip 1\n"
      "  set -l words (commandline -opc)\n"
      "  set -e words[1]\n"
      "  for word in $words\n"
      "    if test $skip = 1\n"
      "      set skip 0\n"
      "    else if contains -- $word $argv\n"
      "      set skip 1\n"
      "    else if not string match -q -- '-*' $word\n"
      "      set n (math $n + 1)\n"
      "    end\n"
      "  end\n"
      "  echo $n\n"
      "end\n"
      "# Behind the colon of a name stands its tag; fish would offer files there, as behind any\n"
      "# colon.\n"
      "function __puna_tag_expected\n"
      "  string match -qr '^[^./~][^:]*:($|[^/])' -- (commandline -ct)\n"
      "end\n"
      "complete -c puna -n __fish_use_subcommand -f -l help\n"
      "complete -c puna -n __fish_use_subcommand -f -l version\n";
  for (const Command& command : commands) {
    const std::string seen = FishQuote("__fish_seen_subcommand_from " + Join(command.names, " "));
    script += fmt::format("complete -c puna -n __fish_use_subcommand -f -a {} -d {}\n",
                          command.names[0], FishQuote(command.description));
    for (const Flag& flag : command.flags) {
      script += "complete -c puna -n " + seen;
      for (const std::string& name : flag.names)
        script += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (flag.takes_value) script += " -r" + FishOffer(flag.value);
      script += " -d " + FishQuote(flag.description) + "\n";
    }
    std::vector<Argument> arguments = command.arguments;
    arguments.push_back({{}, true});  // nothing comes after them, not even a file
    for (size_t i = 0; i < arguments.size(); ++i) {
      const Argument& argument = arguments[i];
      const std::string there = fmt::format(
          "__fish_seen_subcommand_from {}; and test (__puna_arguments {}) -{} {}",
          Join(command.names, " "), ValueFlagWords(command), argument.repeats ? "ge" : "eq", i);
      const std::string offer = FishOffer(argument.offer);
      const auto offer_if = [&](const std::string& condition, const std::string& what) {
        script += "complete -c puna -n " + FishQuote(condition) + what + "\n";
      };
      if (!offer.empty()) offer_if(there, offer);
      if (argument.offer.models && argument.offer.files)
        offer_if(there + "; and __puna_tag_expected", " -f");
      if (argument.repeats) break;
    }
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
