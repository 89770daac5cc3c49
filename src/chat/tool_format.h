// How models write thinking, text and tool calls: one row a family in formats/formats.cc.
//
// A row holds the texts as the family's own template writes them, with slots for what varies. The
// same row is read (pattern.cc: byte by byte) and written (tool_grammar.cc: what a model that must
// call a tool may say). Finding markers that arrive in pieces, holding back what may become one,
// and giving text back that turns out to be no call is done once, in tool_scanner.cc.
#ifndef PUNA_CHAT_TOOL_FORMAT_H_
#define PUNA_CHAT_TOOL_FORMAT_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat.h"
#include "chat/pattern.h"

namespace puna::chat {

// Reads one stretch of tool calls. Constant work per byte apart from parsing each complete call
// once.
class CallReader {
 public:
  enum class State : uint8_t {
    kReading,   // more to come
    kAccepted,  // `calls` grew: what was read so far is used up; more may come
    kPassed,    // what was read so far is decoration
    kEnded,     // the stretch is over; unread() is ordinary text again
    kThinking,  // what was read opens thinking
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

// What a ToolScanner looks for.
struct ScannerRules {
  std::vector<std::string> markers;
  // Bytes that open a stretch if they are the first of the output; they are fed to the reader.
  std::string bare;
  // A reader of what begins with `marker`, which it is fed too ("" for a bare one).
  std::function<std::unique_ptr<CallReader>(const std::string& marker)> open;
  std::string thinking_close;   // ends what a reader's kThinking began
  bool trims_thinking = false;  // white space behind the marks of thinking belongs to nobody
};

struct OutputFormat {
  std::string_view name;
  // Calls as the family's template writes them; empty: it has none.
  CallPattern calls;
  // $JSON in `calls`, for grammars: one call as a JSON object. $NAME stands inside quotes.
  std::string json = R"({"name": "$NAME", "arguments": $ARGS})";
  std::vector<CallPattern> also = {};  // other forms that such models are known to write
  bool declared_only = false;          // only declared tools can be called
  bool one_call = false;               // a call ends the turn
  // Texts between messages of one answer, which are no content; patterns without slots but $WORD
  // and $TYPE.
  std::vector<std::string> dropped = {};
  // Thinking that may stand anywhere, for families with channels. `thinking` is a pattern as in
  // `dropped`; for grammars, `thinking_next` leads from its end to what follows.
  std::string thinking = {}, thinking_close = {}, thinking_next = {};
  // What an answer that is neither thinking nor a call stands between, for grammars.
  std::string content_open = {}, content_close = {};
  // The end of the prompt that belongs to the answer's first marker.
  std::string prefix = {};
  // Thinking in think tags may stand anywhere, not at the front only.
  bool thinks_again = false;
  // Models forget to close their thinking before a call: a complete one of a declared tool ends it.
  bool calls_end_thinking = false;
  std::string quote = {};        // around strings in $PLAIN
  std::string nested_mark = {};  // in front of each tag of a $VALUE that has members
  bool cdata = false;            // a $VALUE may stand in <![CDATA[...]]>; then it is text
};

std::span<const OutputFormat> OutputFormats();
// The format named so, or null.
const OutputFormat* FindOutputFormat(std::string_view name);
// The name of the format that a chat template or a Go template (false) speaks; "json" where a chat
// template shows none, "go" for Go templates.
std::string_view DetectOutputFormat(std::string_view template_source, bool is_jinja);
// What Ollama's PARSER names mean. Null for an unknown one.
struct ParserName {
  std::string_view name;
  std::string_view format;
  bool thinks = true;  // false: thinking is not told from content
};
const ParserName* FindParserName(std::string_view name);

// Without tools, calls are ordinary text. `think_tags` matter for formats that think again.
ScannerRules RulesOf(const OutputFormat& format, const std::vector<Tool>& tools,
                     const ThinkTags& think_tags);
// Those of calls in thinking that is not closed; none where calls do not end it.
ScannerRules RulesWithinThinking(const OutputFormat& format, const std::vector<Tool>& tools);
// For Go templates: the tag is the template's own (PromptTemplate::tool_call_tag).
ScannerRules RulesOfGoTag(const std::string& tag, const std::vector<Tool>& tools);

// What the formats share: calls written as JSON, {"name": ..., "arguments" or "parameters": {...}},
// also nested in "function", as {"tool": {...}}, or in an array of those, also in "tool_calls".
// `declared_only` accepts only names of `tools`. False if it is no call.
bool CallsFromJson(const std::string& text, std::span<const Tool> tools, bool declared_only,
                   std::vector<ToolCall>* calls);

}  // namespace puna::chat

#endif  // PUNA_CHAT_TOOL_FORMAT_H_
