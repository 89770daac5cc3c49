// A format of tool calls as text with slots, taken apart.
#ifndef PUNA_CHAT_PATTERN_H_
#define PUNA_CHAT_PATTERN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace puna::chat {

// One stretch of calls: `open`, a call, perhaps `between` and another call, ..., `close`.
//
// In these texts white space is what a grammar writes; a reader takes any, or none. "~" is a line
// end that a grammar may leave out. Slots:
//   $JSON      a whole call as JSON
//   $PYTHON    a whole call as in Python: name(key=value, ...)
//   $NAME      the tool
//   $ID        the call's id
//   $NAMED_ID  "functions.<tool>:<number>", which is both
//   $ARGS      the arguments as a JSON object
//   $PLAIN     the arguments as {key:value,...} with OutputFormat::quote around strings
//   $PAIRS     the arguments as a row of `pair`, which has
//   $KEY       the argument's name,
//   $VALUE     its value, text or JSON as its schema says,
//   $TEXT      "true" if the value is text and "false" if it is JSON, and
//   $SAME      the name once more
//   $WORD      letters, digits, "_" and "-", for nobody
//   $TYPE      words, perhaps behind "<|constrain|>", or nothing; for nobody
struct CallPattern {
  std::string open = {}, call = {}, between = {}, close = {}, pair = {};
};

enum class Slot : uint8_t {
  kNone,  // a literal
  kJson,
  kPython,
  kName,
  kId,
  kNamedId,
  kArgs,
  kPlain,
  kPairs,
  kKey,
  kValue,
  kText,
  kSame,
  kWord,
  kType,
};

struct PatternElement {
  Slot slot = Slot::kNone;
  std::string text;    // of a literal; without white space
  std::string before;  // the white space in front of it, "~" included
};

// White space behind the last element is one more literal, which is empty.
// REQUIRES: only known slots.
std::vector<PatternElement> ParsePattern(std::string_view text);

// The text of a pattern in which slots are nothing, as $WORD and $TYPE may be.
std::string TextWithoutSlots(std::string_view pattern);

// A literal cut at texts that look like control tokens: <tag>, <|tag|>, [TAG].
struct LiteralPiece {
  std::string text;
  bool is_tag = false;
};
std::vector<LiteralPiece> SplitTags(std::string_view literal);

}  // namespace puna::chat

#endif  // PUNA_CHAT_PATTERN_H_
