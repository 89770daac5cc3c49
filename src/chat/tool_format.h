// How models write tool calls: one format a family, one file a format under formats/, one line in
// formats/formats.cc.
//
// A format says which marker opens a call and gives an object that reads what follows, byte by
// byte. Finding markers that arrive in pieces, holding back what may become one, and giving text
// back that turns out to be no call is done once, in tool_scanner.cc.
#ifndef PUNA_CHAT_TOOL_FORMAT_H_
#define PUNA_CHAT_TOOL_FORMAT_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat.h"
#include "grammar/grammar.h"

namespace puna::chat {

// Reads one stretch of tool calls. Constant work per byte apart from parsing each complete call
// once.
class CallReader {
 public:
  enum class State : uint8_t {
    kReading,   // more to come
    kAccepted,  // `calls` grew: what was read so far is used up; more may come
    kEnded,     // the stretch is over; unread() is ordinary text again
    kBroken,    // what was read since the last accepted call (or the marker) is ordinary text
  };
  virtual ~CallReader() = default;
  virtual State Feed(char c, std::vector<ToolCall>* calls) = 0;
  // At the end of the output: whether what was read since the last accepted call is nothing but
  // decoration.
  virtual bool MayEnd() const = 0;
  // After kEnded: bytes at the end of what was fed that belong to the text behind the stretch.
  virtual std::string unread() const { return {}; }
};

struct CallContext {
  std::span<const Tool> tools;
  std::string marker;  // which marker opened the stretch; empty if the output began with a bracket
};

struct ToolFormat {
  std::string_view name;
  // Whether a model with this Jinja template writes calls so.
  bool (*used_by)(std::string_view template_source);
  std::vector<std::string> markers;
  // Whether an output that begins with { or [ is a call too; the bracket is fed to the reader.
  bool bare = false;
  std::unique_ptr<CallReader> (*open)(const CallContext& context);
  // The calls as a grammar: of one of `tools`, and if `several` any number of calls, at least one.
  // Null: calls in this format cannot be made to happen.
  grammar::Part (*calls)(std::span<const Tool> tools, bool several) = nullptr;
};

// The table, most specific first.
std::span<const ToolFormat> ToolFormats();
// The format named so, or null.
const ToolFormat* FindToolFormat(std::string_view name);

// What the formats share: calls written as JSON, {"name": ..., "arguments" or "parameters": {...}},
// also nested in "function", as
// {"tool": {...}}, or in an array of those. `declared_only` accepts only names of `tools`. False if
// it is no call.
bool CallsFromJson(const std::string& text, std::span<const Tool> tools, bool declared_only,
                   std::vector<ToolCall>* calls);

// One call as JSON, {"name": <name>, "<key>": <arguments>}, of one of `tools`.
grammar::Part JsonCallPart(std::span<const Tool> tools, std::string_view key);
// The arguments that a tool takes, as an object.
grammar::Part ArgumentsPart(const Tool& tool);
// `call`, or several with `between` between them.
grammar::Part CallsPart(grammar::Part call, std::string_view between, bool several);

// Reads JSON values with white space, commas and semicolons between them, up to `close` where that
// is not empty.
std::unique_ptr<CallReader> MakeJsonReader(const CallContext& context, std::string_view close,
                                           bool declared_only);

}  // namespace puna::chat

#endif  // PUNA_CHAT_TOOL_FORMAT_H_
