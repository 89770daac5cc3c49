#include "chat/pattern.h"

#include <cctype>
#include <utility>

#include "base/check.h"

namespace puna::chat {
namespace {

struct SlotName {
  std::string_view text;
  Slot slot;
};

// A name that begins another one stands behind it.
constexpr SlotName kSlots[] = {
    {"$JSON", Slot::kJson},   {"$PYTHON", Slot::kPython}, {"$NAMED_ID", Slot::kNamedId},
    {"$NAME", Slot::kName},   {"$ID", Slot::kId},         {"$ARGS", Slot::kArgs},
    {"$PLAIN", Slot::kPlain}, {"$PAIRS", Slot::kPairs},   {"$KEY", Slot::kKey},
    {"$VALUE", Slot::kValue}, {"$TEXT", Slot::kText},     {"$SAME", Slot::kSame},
    {"$WORD", Slot::kWord},   {"$TYPE", Slot::kType}};

bool IsBreak(char c) { return c == ' ' || c == '\n' || c == '~'; }

// The end of the tag that begins at `at`, or 0.
size_t EndOfTag(std::string_view text, size_t at) {
  static constexpr std::string_view kMiniMax = "]<]minimax[>[";
  if (text.substr(at).starts_with(kMiniMax)) return at + kMiniMax.size();
  if (text[at] == '<') {
    for (size_t i = at + 1; i < text.size(); ++i) {
      if (text[i] == '>') return i + 1;
      if (text[i] == '=' || text[i] == '"' || text[i] == '<') return 0;
    }
  } else if (text[at] == '[') {
    for (size_t i = at + 1; i < text.size(); ++i) {
      if (text[i] == ']') return i > at + 1 ? i + 1 : 0;
      if (std::isupper(static_cast<unsigned char>(text[i])) == 0 && text[i] != '_') return 0;
    }
  }
  return 0;
}

}  // namespace

std::vector<PatternElement> ParsePattern(std::string_view text) {
  std::vector<PatternElement> elements;
  std::string before;
  while (!text.empty()) {
    size_t size = 0;
    while (size < text.size() && IsBreak(text[size])) ++size;
    before = text.substr(0, size);
    text.remove_prefix(size);
    PatternElement element;
    element.before = std::exchange(before, "");
    if (text.empty()) {
      elements.push_back(std::move(element));
      break;
    }
    if (text[0] == '$') {
      for (const SlotName& name : kSlots) {
        if (!text.starts_with(name.text)) continue;
        element.slot = name.slot;
        text.remove_prefix(name.text.size());
        break;
      }
      CHECK(element.slot != Slot::kNone) << "no such slot: " << text;
    } else {
      size = 0;
      while (size < text.size() && !IsBreak(text[size]) && text[size] != '$') ++size;
      element.text = text.substr(0, size);
      text.remove_prefix(size);
    }
    elements.push_back(std::move(element));
  }
  return elements;
}

std::string TextWithoutSlots(std::string_view pattern) {
  std::string text;
  for (const PatternElement& element : ParsePattern(pattern)) text += element.before + element.text;
  std::erase(text, '~');
  return text;
}

std::vector<LiteralPiece> SplitTags(std::string_view literal) {
  std::vector<LiteralPiece> pieces;
  for (size_t at = 0; at < literal.size();) {
    if (const size_t end = EndOfTag(literal, at); end != 0) {
      pieces.push_back({std::string(literal.substr(at, end - at)), true});
      at = end;
      continue;
    }
    if (pieces.empty() || pieces.back().is_tag) pieces.emplace_back();
    pieces.back().text += literal[at++];
  }
  return pieces;
}

}  // namespace puna::chat
