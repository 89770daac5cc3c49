// The interactive chat of `puna run`.
#ifndef PUNA_CLI_CHAT_SESSION_H_
#define PUNA_CLI_CHAT_SESSION_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/settings.h"
#include "cli/api_client.h"
#include "cli/line_reader.h"
#include "cli/run_options.h"
#include "cli/terminal.h"

namespace puna::cli {

// Collects text between """ and """ over several lines. Not thread safe.
class QuotedBlock {
 public:
  // Does a text begin one? Then this takes its first line: true if it ends there too.
  static bool Begins(std::string_view text);
  bool Start(std::string_view first_line);
  bool Add(std::string_view line);  // true if this ended the block
  bool open() const { return open_; }
  std::string Take();

 private:
  bool AddPart(std::string_view part);
  bool open_ = false;
  std::string text_;
};

// Standard input and output are a terminal. The client outlives it. Not thread safe.
class ChatSession {
 public:
  // `show` is what /api/show says of the model.
  ChatSession(const ApiClient& client, const Settings& settings, RunOptions options, Json show);
  ~ChatSession();
  // Until the user leaves; an error only if the server is gone.
  Status Loop();

 private:
  friend struct SlashCommands;
  enum class Next { kGoOn, kLeave };

  Status Preload();
  Status Load(const std::string& model);
  // Under the name of the model itself, the conversation becomes what that one begins with.
  Status Save(const std::string& name);
  void Clear();  // the conversation, not the system message
  void PrintEarlierMessages() const;
  // One typed line, whatever it is.
  Result<Next> Handle(const std::string& line);
  Status Ask(const std::string& prompt);
  void SetSystem(std::string text);
  void PrintNote(std::string_view text) const;

  const ApiClient& client_;
  const Settings& settings_;
  RunOptions options_;
  Json show_;
  Json messages_ = Json::array();
  bool told_of_dropped_ = false;  // that older messages are left out
  bool system_is_ours_ = false;   // the system message is the user's, not the model's
  QuotedBlock block_;
  bool block_is_system_ = false;
  std::unique_ptr<LineReader> reader_;
  std::optional<InterruptScope> interrupt_;  // while the loop runs
};

}  // namespace puna::cli

#endif  // PUNA_CLI_CHAT_SESSION_H_
