// Two tables: one of commands, one of what /set can set. Their help is printed from them, so that
// nothing can be left out.
#include "cli/slash_commands.h"

#include <algorithm>
#include <cstdio>

#include "cli/list_view.h"
#include "cli/show_view.h"
#include "store/modelfile.h"

namespace puna::cli {
namespace {

// The rest of the line after its first `words` words, as it was typed.
std::string RestAfter(const std::string& line, int words) {
  size_t at = 0;
  for (int i = 0; i < words; ++i) {
    at = line.find_first_not_of(" \t", at);
    if (at == std::string::npos) return "";
    at = std::min(line.find_first_of(" \t\n", at), line.size());
  }
  at = line.find_first_not_of(" \t\n", at);
  return at == std::string::npos ? "" : line.substr(at);
}

constexpr const char* kShortcuts[] = {
    "Ctrl + a, Home      Move to the beginning of the line",
    "Ctrl + e, End       Move to the end of the line",
    "Alt + b, Alt + f    Move back or forward by one word",
    "Ctrl + k            Delete what is after the cursor",
    "Ctrl + u            Delete what is before the cursor",
    "Ctrl + w            Delete the word before the cursor",
    "Ctrl + y            Put back what was deleted so",
    "Ctrl + j            Begin a new line within the message",
    "Ctrl + g            Open the message in an editor",
    "Ctrl + p, Ctrl + n  Earlier and later lines, as Up and Down",
    "Ctrl + r            Search earlier lines",
    "Ctrl + l            Clear the screen",
    "Ctrl + c            Stop the answer, or drop the line",
    "Ctrl + d            Leave, on an empty line",
};

constexpr const char* kShowHelp[] = {
    "/show info          What the model is",
    "/show license       Its license",
    "/show modelfile     Its Modelfile",
    "/show parameters    Its parameters, and those set here",
    "/show system        The system message",
    "/show template      Its prompt template",
};

template <size_t n>
void PrintLines(const char* const (&lines)[n]) {
  for (const char* line : lines) std::printf("  %s\n", line);
  std::printf("\n");
}

}  // namespace

std::vector<std::string> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = line.find_first_not_of(" \t\n", at)) != std::string_view::npos) {
    const size_t end = std::min(line.find_first_of(" \t\n", at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

bool SlashCommands::Is(const std::string& line) {
  if (!line.starts_with('/')) return false;
  const std::string word = line.substr(0, line.find_first_of(" \t\n"));
  if (word.find('/', 1) != std::string::npos) return false;
  const size_t end = line.find_last_not_of(" \t\n");
  if (line.find('\n') > end) return true;
  const std::vector<std::string> words = SplitWords(line);
  return words[0] == "/set" && words[1] == "system";
}

namespace {

// The parts of a session that a row of the /set table may touch.
struct SetContext {
  RunOptions* options;
  LineReader* reader;
  const std::vector<std::string>& words;  // "/set", the name, arguments
};

struct SetRow {
  const char* name;
  const char* arguments;
  const char* help;
  // What to tell the user.
  Result<std::string> (*set)(const SetContext& context);
};

Result<std::string> SetParameter(const SetContext& context) {
  if (context.words.size() < 4)
    return MakeError(ErrorCode::kInvalidArgument, "Usage: /set parameter <name> <value>");
  const std::string& name = context.words[2];
  Json parameters = context.options->parameters;
  parameters.erase(name);  // a list of stop texts is replaced, not continued
  std::string values;
  for (size_t i = 3; i < context.words.size(); ++i) {
    bool deprecated = false;
    PUNA_RETURN_IF_ERROR(store::SetParameter(name, context.words[i], &parameters, &deprecated));
    values += (values.empty() ? "" : ", ") + context.words[i];
  }
  context.options->parameters = std::move(parameters);
  return fmt::format("Set parameter '{}' to '{}'", name, values);
}

Result<std::string> SetFormat(const SetContext& context) {
  if (context.words.size() < 3) {
    return MakeError(ErrorCode::kInvalidArgument, "Usage: /set format json");
  }
  std::string text;
  for (size_t i = 2; i < context.words.size(); ++i) text += (i > 2 ? " " : "") + context.words[i];
  PUNA_ASSIGN_OR_RETURN(context.options->format, ParseFormat(text));
  return fmt::format("Set format to '{}' mode.", text);
}

template <bool on>
Result<std::string> SetHistory(const SetContext& context) {
  context.reader->SetHistory(on);
  return std::string(on ? "Set 'history' mode." : "Set 'nohistory' mode.");
}

constexpr SetRow kSetRows[] = {
    {"parameter", " <name> <value>", "Set a parameter", SetParameter},
    {"system", " <text>", "Set the system message; \"\"\" begins a text of several lines",
     nullptr},  // has the whole line, see Run
    {"history", "", "Remember lines for the next time", SetHistory<true>},
    {"nohistory", "", "Remember no lines", SetHistory<false>},
    {"wordwrap", "", "Break lines between words",
     [](const SetContext& context) -> Result<std::string> {
       context.options->word_wrap = true;
       return "Set 'wordwrap' mode.";
     }},
    {"nowordwrap", "", "Leave lines to the terminal",
     [](const SetContext& context) -> Result<std::string> {
       context.options->word_wrap = false;
       return "Set 'nowordwrap' mode.";
     }},
    {"format", " json", "Answers are JSON, or obey a JSON Schema", SetFormat},
    {"noformat", "", "Answers are free text",
     [](const SetContext& context) -> Result<std::string> {
       context.options->format = nullptr;
       return "Disabled format.";
     }},
    {"verbose", "", "Print times and token counts",
     [](const SetContext& context) -> Result<std::string> {
       context.options->verbose = true;
       return "Set 'verbose' mode.";
     }},
    {"quiet", "", "Print answers only",
     [](const SetContext& context) -> Result<std::string> {
       context.options->verbose = false;
       return "Set 'quiet' mode.";
     }},
    {"think", " [level]", "The model thinks first",
     [](const SetContext& context) -> Result<std::string> {
       context.options->think = context.words.size() > 2 ? context.words[2] : "true";
       return "Set 'think' mode.";
     }},
    {"nothink", "", "The model answers at once",
     [](const SetContext& context) -> Result<std::string> {
       context.options->think = "false";
       return "Set 'nothink' mode.";
     }},
};

void PrintSetHelp() {
  std::printf("Available Commands:\n");
  for (const SetRow& row : kSetRows) {
    std::printf("  %s\n",
                fmt::format("{:<32}{}", fmt::format("/set {}{}", row.name, row.arguments), row.help)
                    .c_str());
  }
  std::printf("\n");
}

constexpr const char* kHelp[] = {
    "/set            Set session variables",
    "/show           Show model information",
    "/load <model>   Talk to another model",
    "/save <model>   Save the session as a model",
    "/list           List models",
    "/clear          Forget the conversation",
    "/bye            Leave",
    "/?, /help       Help for a command, and \"/? shortcuts\" for keys",
};

void PrintHelp(const std::vector<std::string>& words) {
  const std::string topic = words.size() > 1 ? words[1] : "";
  if (topic == "set" || topic == "/set") return PrintSetHelp();
  std::printf("Available Commands:\n");
  if (topic == "show" || topic == "/show") return PrintLines(kShowHelp);
  if (topic == "shortcut" || topic == "shortcuts") return PrintLines(kShortcuts);
  PrintLines(kHelp);
  std::printf("Use \"\"\" to begin a message of several lines.\n\n");
}

std::string ParameterLines(const Json& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters.items())
    text += fmt::format("{:<30} {}\n", name, DumpJson(value));
  return text;
}

void PrintResult(const Result<std::string>& result) {
  if (result) {
    std::printf("%s\n", result->c_str());
  } else {
    std::printf("%s\n", result.error().message.c_str());
  }
}

constexpr std::string_view kShowParts[] = {"info",       "license", "modelfile",
                                           "parameters", "system",  "template"};

// `options` are those of the session, which the model is shown with.
void Show(const ApiClient& client, const RunOptions& options, const std::string& part) {
  if (part.empty()) {
    std::printf("Available Commands:\n");
    return PrintLines(kShowHelp);
  }
  if (std::find(std::begin(kShowParts), std::end(kShowParts), part) == std::end(kShowParts)) {
    std::printf("Unknown command '/show %s'. Type /? for help\n", part.c_str());
    return;
  }
  Json request = {{"model", options.model}, {"options", options.parameters}};
  if (!options.system.empty()) request["system"] = options.system;
  const auto show = client.Post("/api/show", request);
  if (!show) {
    PrintResult(tl::unexpected(show.error()));
  } else if (part == "info") {
    std::fputs(FormatModelInfo(*show, false).c_str(), stdout);
  } else if (part == "parameters") {
    const std::string model = JsonString(*show, "parameters");
    std::printf("Model defined parameters:\n%s\n", model.empty() ? "none" : model.c_str());
    if (!options.parameters.empty())
      std::printf("User defined parameters:\n%s\n", ParameterLines(options.parameters).c_str());
  } else {
    PrintResult(FormatModelPart(*show, part));
  }
}

}  // namespace

Result<ChatSession::Next> SlashCommands::Run(ChatSession& session, const std::string& line) {
  const std::vector<std::string> words = SplitWords(line);
  const std::string& command = words[0];
  const std::string argument = words.size() > 1 ? words[1] : "";
  const auto report = [](const Status& status, const std::string& success) {
    PrintResult(status ? Result<std::string>(success)
                       : Result<std::string>(tl::unexpected(status.error())));
  };
  if (command == "/bye" || command == "/exit") return ChatSession::Next::kLeave;
  if (command == "/?" || command == "/help") {
    PrintHelp(words);
  } else if (command == "/clear") {
    session.Clear();
    std::printf("Cleared session context\n");
  } else if (command == "/list") {
    PrintResult(ListText(session.client_, ""));
  } else if ((command == "/load" || command == "/save") && words.size() != 2) {
    std::printf("Usage:\n  %s <modelname>\n", command.c_str());
  } else if (command == "/load") {
    std::printf("Loading model '%s'\n", argument.c_str());
    if (const Status loaded = session.Load(argument); !loaded) report(loaded, "");
  } else if (command == "/save") {
    report(session.Save(argument), fmt::format("Created new model '{}'", argument));
  } else if (command == "/show") {
    Show(session.client_, session.options_, argument);
  } else if (command == "/set" && argument == "system") {
    const std::string text = RestAfter(line, 2);
    if (text.empty()) {
      std::printf("Usage: /set system <text>\n");
    } else if (QuotedBlock::Begins(text) && !session.block_.Start(text)) {
      session.block_is_system_ = true;
    } else {
      session.SetSystem(QuotedBlock::Begins(text) ? session.block_.Take() : text);
      std::printf("Set system message.\n");
    }
  } else if (command == "/set") {
    const SetRow* found = nullptr;
    for (const SetRow& row : kSetRows) {
      if (row.set != nullptr && argument == row.name) found = &row;
    }
    if (found != nullptr) {
      PrintResult(found->set({&session.options_, session.reader_.get(), words}));
    } else {
      if (!argument.empty())
        std::printf("Unknown command '/set %s'. Type /? for help\n", argument.c_str());
      PrintSetHelp();
    }
  } else {
    std::printf("Unknown command '%s'. Type /? for help\n", command.c_str());
  }
  return ChatSession::Next::kGoOn;
}

}  // namespace puna::cli
