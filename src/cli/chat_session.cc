#include "cli/chat_session.h"

#include <cstdio>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "cli/answer_view.h"
#include "cli/slash_commands.h"
#include "cli/word_wrap.h"
#include "store/model_name.h"

namespace puna::cli {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

AnswerStyle AnswerStyleOf(const RunOptions& options) {
  return {.terminal = true, .word_wrap = options.word_wrap, .hide_thinking = options.hide_thinking};
}

}  // namespace

bool QuotedBlock::Begins(std::string_view text) { return text.starts_with(kQuotes); }

bool QuotedBlock::Start(std::string_view first_line) {
  open_ = true;
  text_.clear();
  return AddPart(first_line.substr(kQuotes.size()));
}

bool QuotedBlock::Add(std::string_view line) { return AddPart(line); }

bool QuotedBlock::AddPart(std::string_view part) {
  const size_t last = part.find_last_not_of(" \t");
  const std::string_view trimmed =
      last == std::string_view::npos ? std::string_view() : part.substr(0, last + 1);
  if (trimmed.ends_with(kQuotes)) {
    text_ += trimmed.substr(0, trimmed.size() - kQuotes.size());
    open_ = false;
    return true;
  }
  text_ += part;
  text_ += '\n';
  return false;
}

std::string QuotedBlock::Take() {
  open_ = false;
  return std::exchange(text_, {});
}

ChatSession::ChatSession(const ApiClient& client, const Settings& settings, RunOptions options,
                         Json show)
    : client_(client), settings_(settings), options_(std::move(options)), show_(std::move(show)) {
  if (!options_.system.empty()) SetSystem(options_.system);
}

ChatSession::~ChatSession() = default;

void ChatSession::SetSystem(std::string text) {
  options_.system = text;
  system_is_ours_ = true;
  Json message = {{"role", "system"}, {"content", std::move(text)}};
  // It is the first message, or takes the place of an earlier one that nothing has followed yet.
  if (!messages_.empty() && JsonString(messages_.back(), "role") == "system") {
    messages_.back() = std::move(message);
  } else {
    messages_.push_back(std::move(message));
  }
}

Status ChatSession::Preload() {
  const InterruptScope interrupt;
  Spinner spinner("loading " + options_.model + " ");
  Json request = RequestOf(options_);
  request.erase("format");
  request.erase("think");
  Status loaded = client_.PostStream(
      "/api/generate", request, [](const Json&) { return true; },
      [&] { return interrupt.interrupted(); });
  spinner.Stop();
  if (!loaded && interrupt.interrupted())
    return MakeError(ErrorCode::kCancelled, "interrupted while loading");
  return loaded;
}

void ChatSession::PrintEarlierMessages() const {
  for (const Json& message : show_.value("messages", Json::array())) {
    const std::string role = JsonString(message, "role");
    const std::string content = JsonString(message, "content");
    if (role == "user") std::printf(">>> %s\n", content.c_str());
    if (role != "assistant") continue;
    AnswerView view(AnswerStyleOf(options_));
    view.Content(content);
    view.Finish();
  }
}

Status ChatSession::Load(const std::string& model) {
  PUNA_ASSIGN_OR_RETURN(Json show, client_.Post("/api/show", {{"model", model}}));
  const std::string previous = std::exchange(options_.model, model);
  if (Status loaded = Preload(); !loaded) {
    options_.model = previous;
    return loaded;
  }
  show_ = std::move(show);
  options_.model_thinks = HasCapability(show_, "thinking");
  Clear();
  PrintEarlierMessages();
  return {};
}

void ChatSession::Clear() {
  messages_ = Json::array();
  told_of_dropped_ = false;
  if (system_is_ours_) SetSystem(options_.system);
}

Status ChatSession::Save(const std::string& name) {
  Json request = {{"model", name}, {"from", options_.model}};
  if (!options_.system.empty()) request["system"] = options_.system;
  if (!options_.parameters.empty()) request["parameters"] = options_.parameters;
  Json messages = show_.value("messages", Json::array());
  for (const Json& message : messages_) {
    if (JsonString(message, "role") != "system") messages.push_back(message);
  }
  if (!messages.empty()) request["messages"] = std::move(messages);
  PUNA_RETURN_IF_ERROR(
      client_.PostStream("/api/create", request, [](const Json&) { return true; }));
  const auto saved = store::ModelName::Parse(name), own = store::ModelName::Parse(options_.model);
  if (!saved || !own || !SameName(*saved, *own)) return {};
  PUNA_ASSIGN_OR_RETURN(show_, client_.Post("/api/show", {{"model", options_.model}}));
  // The server puts the model's messages before those that are sent. A file that is served in place
  // goes on under its name, and has none.
  if (show_.contains("messages")) messages_ = Json::array();
  return {};
}

// A paragraph of our own among the answers.
void ChatSession::PrintNote(std::string_view text) const {
  WordWrapper wrapper(options_.word_wrap ? TerminalWidth() : 0);
  std::string wrapped = wrapper.Push(text);
  wrapped += wrapper.Finish();
  std::printf("%s\n\n", wrapped.c_str());
}

Status ChatSession::Ask(const std::string& prompt) {
  messages_.push_back({{"role", "user"}, {"content", prompt}});
  Json request = RequestOf(options_);
  request["messages"] = messages_;  // the server puts the model's own before them
  request["truncate"] = true;       // a chat goes on when it has outgrown the context

  AnswerView view(AnswerStyleOf(options_));
  Spinner spinner("");
  Json last;
  Status done = client_.PostStream(
      "/api/chat", request,
      [&](const Json& line) {
        spinner.Stop();
        const Json message = line.value("message", Json::object());
        view.Thinking(JsonString(message, "thinking"));
        view.Content(JsonString(message, "content"));
        if (line.value("done", false)) last = line;
        return true;
      },
      [&] { return interrupt_->interrupted(); });
  spinner.Stop();
  view.Finish();
  if (!done && !interrupt_->interrupted()) {
    messages_.erase(messages_.size() - 1);  // so that the next question is not asked twice over
    if (done.error().code == ErrorCode::kUnavailable) return done;
    PrintNote("Error: " + Shortened(done.error().message));
    return {};
  }
  Json answer = {{"role", "assistant"}, {"content", view.content()}};
  if (!view.thinking().empty()) answer["thinking"] = view.thinking();
  messages_.push_back(std::move(answer));
  if (options_.verbose && !last.is_null())
    std::fprintf(stderr, "%s\n", FormatTimings(last).c_str());
  if (last.is_object() && last.value("prompt_truncated_count", int64_t{0}) > 0 &&
      !std::exchange(told_of_dropped_, true)) {
    PrintNote(
        "(The conversation is longer than the context by now: its oldest messages are left out.)");
  }
  return {};
}

Result<ChatSession::Next> ChatSession::Handle(const std::string& line) {
  if (block_.open()) {
    if (!block_.Add(line)) return Next::kGoOn;
  } else if (QuotedBlock::Begins(line)) {
    block_is_system_ = false;
    if (!block_.Start(line)) return Next::kGoOn;
  } else if (SlashCommands::Is(line)) {
    return SlashCommands::Run(*this, line);
  } else {
    if (line.find_first_not_of(" \t\n") != std::string::npos) PUNA_RETURN_IF_ERROR(Ask(line));
    return Next::kGoOn;
  }
  std::string text = block_.Take();
  if (block_is_system_) {
    SetSystem(std::move(text));
    std::printf("Set system message.\n");
  } else {
    PUNA_RETURN_IF_ERROR(Ask(text));
  }
  return Next::kGoOn;
}

Status ChatSession::Loop() {
  // Before the model is loaded: what is pasted meanwhile is one message, too.
  reader_ = std::make_unique<LineReader>(
      options_.history ? HomeDirectory() / ".puna" / "history" : std::filesystem::path(),
      settings_.editor);
  reader_->SetHistory(options_.history);
  PUNA_RETURN_IF_ERROR(Preload());
  PrintEarlierMessages();
  std::printf("\x1b[90mSend a message (/? for help)\x1b[0m\n");
  interrupt_.emplace();
  while (true) {
    // From before the line ends: a Ctrl-C right behind Enter is for the answer, not for the
    // program.
    interrupt_->Forget();
    const TypedLine typed = reader_->Read(block_.open() ? "... " : ">>> ");
    if (typed.kind == TypedLine::Kind::kEnd) break;
    if (typed.kind == TypedLine::Kind::kInterrupted) {
      if (block_.open()) {
        block_.Take();
      } else {
        std::printf("Use Ctrl + d or /bye to exit.\n");
      }
      continue;
    }
    PUNA_ASSIGN_OR_RETURN(const Next next, Handle(typed.text));
    if (next == Next::kLeave) return {};
  }
  std::printf("\n");
  return {};
}

}  // namespace puna::cli
