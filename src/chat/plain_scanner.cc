// Scanning only counts brackets outside of strings: what is between them is judged once, when it is
// complete, by a parser by recursive descent.
#include "chat/plain_scanner.h"

#include <cctype>
#include <utility>

#include "chat/json_scanner.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"

namespace puna::chat {
namespace {

constexpr size_t kMaxNesting = 100;
constexpr size_t kMaxHeadBytes = 512;

bool BeginsName(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool InName(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
}

// Reads from the front of `rest_`. Every function returns false at the first thing that is wrong.
class ValueParser {
 public:
  // `quote` empty: Python.
  ValueParser(std::string_view text, std::string_view quote) : rest_(text), quote_(quote) {}

  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }
  bool Take(char c) {
    SkipSpace();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Name(std::string* name) {
    SkipSpace();
    size_t size = 0;
    while (size < rest_.size() && InName(rest_[size])) ++size;
    if (size == 0) return false;
    *name = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  bool Call(std::vector<ToolCall>* calls) {
    ToolCall call;
    if (!Name(&call.name) || !Take('(')) return false;
    while (!Take(')')) {
      std::string key;
      Json value;
      if (!Name(&key) || !Take('=') || !Value(&value, 0)) return false;
      call.arguments[key] = std::move(value);
      if (Take(',')) continue;
      if (!Take(')')) return false;
      break;
    }
    calls->push_back(std::move(call));
    return true;
  }

  bool Value(Json* out, size_t depth) {
    SkipSpace();
    if (depth > kMaxNesting || rest_.empty()) return false;
    const bool is_python = quote_.empty();
    if (rest_[0] == '"' || (is_python && rest_[0] == '\'')) return PythonString(out);
    if (!quote_.empty() && rest_.starts_with(quote_)) return QuotedString(out);
    if (rest_[0] == '{') return Object(out, depth);
    if (rest_[0] == '[' || (quote_.empty() && rest_[0] == '(')) return List(out, depth);
    return Word(out);
  }

  bool Object(Json* out, size_t depth) {
    *out = Json::object();
    if (!Take('{')) return false;
    while (!Take('}')) {
      std::string key;
      Json value;
      if (!Key(&key) || !Take(':') || !Value(&value, depth + 1)) return false;
      (*out)[key] = std::move(value);
      if (Take(',')) continue;
      return Take('}');
    }
    return true;
  }

 private:
  void SkipSpace() {
    while (!rest_.empty() && IsJsonSpace(rest_[0])) rest_.remove_prefix(1);
  }

  bool Key(std::string* key) {
    SkipSpace();
    Json quoted;
    const bool is_quoted =
        quote_.empty() || rest_.starts_with(quote_) || (!rest_.empty() && rest_[0] == '"');
    if (!is_quoted) {
      const size_t end = rest_.find(':');
      if (end == std::string_view::npos || end == 0) return false;
      *key = rest_.substr(0, end);
      rest_.remove_prefix(end);
      return true;
    }
    if (rest_.empty() || !(rest_.starts_with(quote_) && !quote_.empty() ? QuotedString(&quoted)
                                                                        : PythonString(&quoted)))
      return false;
    *key = quoted.get<std::string>();
    return true;
  }

  bool List(Json* out, size_t depth) {
    *out = Json::array();
    const char close = rest_[0] == '[' ? ']' : ')';
    rest_.remove_prefix(1);
    while (!Take(close)) {
      if (!Value(&out->emplace_back(), depth + 1)) return false;
      if (Take(',')) continue;
      return Take(close);
    }
    return true;
  }

  bool QuotedString(Json* out) {
    rest_.remove_prefix(quote_.size());
    const size_t end = rest_.find(quote_);
    if (end == std::string_view::npos) return false;
    *out = std::string(rest_.substr(0, end));
    rest_.remove_prefix(end + quote_.size());
    return true;
  }

  bool PythonString(Json* out) {
    const char quote = rest_[0];
    if (quote != '"' && quote != '\'') return false;
    rest_.remove_prefix(1);
    std::string text;
    while (true) {
      if (rest_.empty()) return false;
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == quote) break;
      if (c != '\\') {
        text += c;
      } else if (!Escape(&text)) {
        return false;
      }
    }
    *out = std::move(text);
    return true;
  }

  // Behind a backslash. What Python does not know it leaves as it is.
  bool Escape(std::string* text) {
    if (rest_.empty()) return false;
    const char c = rest_[0];
    rest_.remove_prefix(1);
    static constexpr std::string_view kFrom = "nrtbfv0\\'\"/";
    static constexpr std::string_view kTo("\n\r\t\b\f\v\0\\'\"/", 11);
    if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
      *text += kTo[i];
      return true;
    }
    if (c == 'x' || c == 'u' || c == 'U') return Hex(c == 'x' ? 2 : c == 'u' ? 4 : 8, text);
    if (c == '\n') return true;
    *text += '\\';
    *text += c;
    return true;
  }

  bool HexDigits(size_t digits, char32_t* value) {
    const auto read = ReadHex(rest_, digits);
    if (!read) return false;
    *value = *read;
    rest_.remove_prefix(digits);
    return true;
  }

  bool Hex(size_t digits, std::string* text) {
    char32_t c = 0;
    if (!HexDigits(digits, &c)) return false;
    char32_t low = 0;
    if (c >= 0xD800 && c < 0xDC00 && rest_.starts_with("\\u")) {  // as JSON writes it
      rest_.remove_prefix(2);
      if (!HexDigits(4, &low) || low < 0xDC00 || low > 0xDFFF) return false;
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
    AppendUtf8(c, text);
    return true;
  }

  // A number or a constant; for Gemma also a string without quotes.
  bool Word(Json* out) {
    size_t size = 0;
    while (size < rest_.size() &&
           std::string_view(",:)]}").find(rest_[size]) == std::string_view::npos)
      ++size;
    std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    while (!word.empty() && IsJsonSpace(word.back())) word.remove_suffix(1);
    if (word == "True" || word == "true") {
      *out = true;
    } else if (word == "False" || word == "false") {
      *out = false;
    } else if (word == "None" || word == "null") {
      *out = nullptr;
    } else {
      *out = ParseJson(word);
      if (out->is_number()) return true;
      if (quote_.empty() || word.empty()) return false;
      *out = std::string(word);
    }
    return true;
  }

  std::string_view rest_;
  std::string quote_;
};

}  // namespace

PlainScanner PlainScanner::OfPythonCalls() {
  PlainScanner scanner;
  scanner.is_python_ = true;
  return scanner;
}

PlainScanner PlainScanner::OfPlainObject(std::string_view quote) {
  PlainScanner scanner;
  scanner.quote_ = quote;
  scanner.in_head_ = false;
  return scanner;
}

PlainScanner::State PlainScanner::Feed(char c) {
  text_ += c;
  return in_head_ ? FeedHead(c) : FeedBrackets(c);
}

PlainScanner::State PlainScanner::FeedHead(char c) {
  if (text_.size() == 1 && c == '[') {
    open_ = ']';
    return State::kMore;
  }
  const std::string_view name = std::string_view(text_).substr(open_.size());
  if (c == '(') {
    if (name.size() < 2) return State::kInvalid;
    in_head_ = false;
    open_ += ')';
    return State::kMore;
  }
  const bool begins = name.find_first_not_of(" \n\t\r") == name.size() - 1;
  if (IsJsonSpace(c) && open_.empty()) return State::kInvalid;
  if (!IsJsonSpace(c) && !(begins ? BeginsName(c) : InName(c))) return State::kInvalid;
  return text_.size() > kMaxHeadBytes ? State::kInvalid : State::kMore;
}

PlainScanner::State PlainScanner::FeedBrackets(char c) {
  if (string_ends_ != 0) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == string_ends_) {
      string_ends_ = 0;
    }
    return State::kMore;
  }
  if (!quote_.empty()) {
    quote_matched_ = c == quote_[quote_matched_] ? quote_matched_ + 1 : c == quote_[0] ? 1 : 0;
    if (quote_matched_ == quote_.size()) {
      in_quote_ = !in_quote_;
      quote_matched_ = 0;
    }
    if (in_quote_ || quote_matched_ > 0) return State::kMore;
  }
  if (c == '"' || (is_python_ && c == '\'')) {
    string_ends_ = c;
    return State::kMore;
  }
  if (c == '(' || c == '[' || c == '{') {
    if (open_.size() >= kMaxNesting) return State::kInvalid;
    open_ += c == '(' ? ')' : c == '[' ? ']' : '}';
  } else if (c == ')' || c == ']' || c == '}') {
    if (open_.empty() || open_.back() != c) return State::kInvalid;
    open_.pop_back();
    if (open_.empty()) return State::kDone;
  } else if (open_.empty()) {
    return State::kInvalid;
  }
  return State::kMore;
}

bool ParsePythonCalls(std::string_view text, std::vector<ToolCall>* calls) {
  ValueParser parser(text, "");
  const size_t before = calls->size();
  const bool good = [&] {
    if (!parser.Take('[')) return parser.Call(calls);
    do {
      if (!parser.Call(calls)) return false;
    } while (parser.Take(','));
    return parser.Take(']');
  }();
  if (good && parser.AtEnd()) return true;
  calls->resize(before);
  return false;
}

std::optional<Json> ParsePlainObject(std::string_view text, std::string_view quote) {
  ValueParser parser(text, quote);
  Json value;
  if (!parser.Object(&value, 0) || !parser.AtEnd()) return std::nullopt;
  return value;
}

std::optional<Json> ParsePythonValue(std::string_view text) {
  ValueParser parser(text, "");
  Json value;
  if (!parser.Value(&value, 0) || !parser.AtEnd()) return std::nullopt;
  return value;
}

}  // namespace puna::chat
