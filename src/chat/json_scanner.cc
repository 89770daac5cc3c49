// A pushdown automaton over JSON's grammar. Numbers are checked loosely (any run of digits, signs,
// points and exponents): the parser that gets the complete text refuses the wrong ones, and here
// only the end matters.
#include "chat/json_scanner.h"

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include <fmt/format.h>

namespace puna::chat {
namespace {

constexpr size_t kMaxJsonDepth = 200;

bool IsNumberByte(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

// The text with numbers that no double holds replaced by the largest one.
std::string WithFiniteNumbers(std::string_view text) {
  std::string finite;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (in_string || (std::isdigit(static_cast<unsigned char>(c)) == 0 && c != '-')) {
      const size_t size = in_string && c == '\\' ? 2 : 1;
      if (c == '"') in_string = !in_string;
      finite += text.substr(i, size);
      i += size;
      continue;
    }
    size_t size = 0;
    while (i + size < text.size() && IsNumberByte(text[i + size])) ++size;
    const std::string number(text.substr(i, size));
    const double value = std::strtod(number.c_str(), nullptr);
    finite += std::isinf(value)
                  ? fmt::format("{}", std::copysign(std::numeric_limits<double>::max(), value))
                  : number;
    i += size;
  }
  return finite;
}

}  // namespace

Json ParseModelJson(std::string_view text) {
  Json json = ParseJson(text);
  return json.is_discarded() ? ParseJson(WithFiniteNumbers(text)) : json;
}

JsonScanner::State JsonScanner::Feed(char c) {
  switch (expect_) {
    case Expect::kString:
      if (static_cast<unsigned char>(c) < 0x20) {
        text_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        return State::kMore;
      }
      text_ += c;
      if (c == '\\') expect_ = Expect::kEscape;
      if (c == '"' && in_key_) expect_ = Expect::kColon;
      if (c == '"' && !in_key_) return AfterValue();
      return State::kMore;
    case Expect::kEscape:
      text_ += c;
      if (std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos) return State::kInvalid;
      hex_left_ = c == 'u' ? 4 : 0;
      expect_ = c == 'u' ? Expect::kHex : Expect::kString;
      return State::kMore;
    case Expect::kHex:
      text_ += c;
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return State::kInvalid;
      if (--hex_left_ == 0) expect_ = Expect::kString;
      return State::kMore;
    case Expect::kNumber:
      if (IsNumberByte(c)) {
        text_ += c;
        return State::kMore;
      }
      expect_ = Expect::kCommaOrEnd;  // the byte that ends a number belongs to what follows
      break;
    case Expect::kWord:
      return Word(c);
    default:
      break;
  }
  text_ += c;
  if (IsJsonSpace(c) && expect_ != Expect::kStart) return State::kMore;
  switch (expect_) {
    case Expect::kStart:
      return c == '{' || c == '[' ? Value(c, false) : State::kInvalid;
    case Expect::kValue:
      return Value(c, false);
    case Expect::kValueOrEnd:
      return Value(c, true);
    case Expect::kKey:
    case Expect::kKeyOrEnd:
      if (c == '}' && expect_ == Expect::kKeyOrEnd) return Close(c);
      if (c != '"') return State::kInvalid;
      in_key_ = true;
      expect_ = Expect::kString;
      return State::kMore;
    case Expect::kColon:
      if (c != ':') return State::kInvalid;
      in_key_ = false;
      expect_ = Expect::kValue;
      return State::kMore;
    default:
      return CommaOrEnd(c);
  }
}

JsonScanner::State JsonScanner::CommaOrEnd(char c) {
  if (c != ',') return Close(c);
  expect_ = open_.back() == '}' ? Expect::kKey : Expect::kValue;
  return State::kMore;
}

JsonScanner::State JsonScanner::Word(char c) {
  if (c != *word_) return State::kInvalid;
  text_ += c;
  if (*++word_ == '\0') return AfterValue();
  return State::kMore;
}

JsonScanner::State JsonScanner::Value(char c, bool may_end) {
  switch (c) {
    case '{':
    case '[':
      if (open_.size() >= kMaxJsonDepth) return State::kInvalid;
      open_ += c == '{' ? '}' : ']';
      expect_ = c == '{' ? Expect::kKeyOrEnd : Expect::kValueOrEnd;
      in_key_ = false;
      return State::kMore;
    case '"':
      in_key_ = false;
      expect_ = Expect::kString;
      return State::kMore;
    case 't':
      word_ = "rue";
      break;
    case 'f':
      word_ = "alse";
      break;
    case 'n':
      word_ = "ull";
      break;
    default:
      if (may_end && c == ']') return Close(c);
      if (!IsNumberByte(c) || c == 'e' || c == 'E') return State::kInvalid;
      expect_ = Expect::kNumber;
      return State::kMore;
  }
  expect_ = Expect::kWord;
  return State::kMore;
}

JsonScanner::State JsonScanner::Close(char c) {
  if (open_.empty() || open_.back() != c) return State::kInvalid;
  open_.pop_back();
  return AfterValue();
}

JsonScanner::State JsonScanner::AfterValue() {
  expect_ = Expect::kCommaOrEnd;
  return open_.empty() ? State::kDone : State::kMore;
}

}  // namespace puna::chat
