// A hand-written scanner with two states, text and code, instead of Jinja's table of regular
// expressions. The order of the questions is Jinja's: the end of a tag is looked for before any
// operator (so "-%}" is an end, not a minus), but only while no bracket is open (so "}}" can close
// two dicts). A sign directly behind an opening tag belongs to the tag.
#include "chat/jinja/jinja_lexer.h"

#include <charconv>
#include <cstdlib>

#include "base/hex.h"
#include "base/utf8.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

constexpr size_t kMaxTokens = 1'000'000;

std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> Run() {
    while (pos_ < source_.size()) {
      PUNA_RETURN_IF_ERROR(Text());
      if (tokens_.size() > kMaxTokens) {
        return MakeError(ErrorCode::kResourceExhausted, "the template has more than {} tokens",
                         kMaxTokens);
      }
    }
    Add(TokenType::kEnd);
    return std::move(tokens_);
  }

 private:
  tl::unexpected<Error> Fail(std::string_view what) const {
    return MakeError(ErrorCode::kInvalidArgument, "line {}: {}", LineAt(pos_), what);
  }

  // Lines are counted once, from the last place that was asked for.
  int LineAt(size_t pos) const {
    for (; line_pos_ < pos && line_pos_ < source_.size(); ++line_pos_) {
      if (source_[line_pos_] == '\n') ++line_;
    }
    return line_;
  }

  Token& Add(TokenType type, std::string text = {}) {
    Token token;
    token.type = type;
    token.line = LineAt(pos_);
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
    return tokens_.back();
  }

  bool At(std::string_view text) const {
    return std::string_view(source_).substr(pos_, text.size()) == text;
  }
  char Char(size_t offset = 0) const {
    return pos_ + offset < source_.size() ? source_[pos_ + offset] : '\0';
  }

  void SkipSpace() {
    while (pos_ < source_.size()) {
      const DecodedCodepoint c = DecodeUtf8(std::string_view(source_).substr(pos_));
      if (!c.valid || !IsPySpace(c.codepoint)) return;
      pos_ += c.length_bytes;
    }
  }

  void AddData(std::string_view text, char sign, bool is_variable) {
    if (sign == '-') {
      text = Strip(text, nullptr, false, true);
    } else if (sign != '+' && !is_variable) {
      const size_t line_begin = text.rfind('\n') + 1;  // npos + 1 is 0
      if ((line_begin > 0 || line_starting_) &&
          Strip(text.substr(line_begin), nullptr, true, false).empty()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) Add(TokenType::kData, std::string(text));
  }

  // At the end of a block, comment or raw tag with closing text `end`: consumes it with the white
  // space that it takes. False if it is not there.
  bool EndTag(std::string_view end, bool trims_newline) {
    const size_t begin = pos_;
    const char sign = Char();
    if ((sign == '-' || (sign == '+' && trims_newline)) &&
        std::string_view(source_).substr(pos_ + 1, end.size()) == end) {
      pos_ += 1 + end.size();
      if (sign == '-') SkipSpace();
    } else if (At(end)) {
      pos_ += end.size();
      if (trims_newline && Char() == '\n') ++pos_;
    } else {
      return false;
    }
    line_starting_ = pos_ > begin && source_[pos_ - 1] == '\n';
    return true;
  }

  char TakeSign() {
    const char sign = Char();
    if (sign != '-' && sign != '+') return '\0';
    ++pos_;
    return sign;
  }

  // After "{%" and its sign: consumes "raw %}" if that is what follows.
  bool RawBegin() {
    const size_t begin = pos_;
    SkipSpace();
    if (At("raw")) {
      pos_ += 3;
      SkipSpace();
      if (At("-%}") || At("%}")) return EndTag("%}", false);
    }
    pos_ = begin;
    return false;
  }

  Status Text() {
    const size_t begin = pos_;
    size_t at = begin;
    for (;; ++at) {
      at = source_.find('{', at);
      if (at == std::string::npos || at + 1 >= source_.size()) {
        at = source_.size();
        break;
      }
      const char next = source_[at + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const std::string_view text = std::string_view(source_).substr(begin, at - begin);
    if (at == source_.size()) {
      Add(TokenType::kData, std::string(text));
      pos_ = at;
      return {};
    }
    const char kind = source_[at + 1];
    pos_ = at + 2;
    const char sign = TakeSign();
    AddData(text, sign, kind == '{');
    if (kind == '#') return Comment();
    if (kind == '%' && RawBegin()) return Raw();
    Add(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin);
    return Code(kind == '{');
  }

  Status Comment() {
    if (pos_ == source_.size()) return {};  // Jinja lets a tag pass that nothing follows
    const size_t end = source_.find("#}", pos_);
    if (end == std::string::npos) return Fail("a comment is not closed");
    const bool has_sign = end > pos_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    pos_ = has_sign ? end - 1 : end;
    EndTag("#}", true);
    return {};
  }

  Status Raw() {
    if (pos_ == source_.size()) return {};
    const size_t begin = pos_;
    for (size_t at = begin; (at = source_.find("{%", at)) != std::string::npos; at += 2) {
      pos_ = at + 2;
      const char sign = TakeSign();
      SkipSpace();
      if (!At("endraw")) continue;
      pos_ += 6;
      SkipSpace();
      const bool was_line_starting = line_starting_;
      if (!EndTag("%}", true)) continue;
      const bool line_starting = line_starting_;
      line_starting_ = was_line_starting;
      AddData(std::string_view(source_).substr(begin, at - begin), sign, false);
      line_starting_ = line_starting;
      return {};
    }
    pos_ = begin;
    return Fail("a raw block is not closed");
  }

  Status Code(bool is_variable) {
    std::string open_brackets;
    while (true) {
      if (open_brackets.empty()) {
        const size_t begin = pos_;
        if (is_variable ? EndTag("}}", false) : EndTag("%}", true)) {
          const size_t end = pos_;
          pos_ = begin;
          Add(is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd);
          pos_ = end;
          return {};
        }
      }
      SkipSpace();
      if (pos_ >= source_.size())
        return Fail(is_variable ? "'{{' is not closed" : "'{%' is not closed");
      // The end may follow the white space just skipped.
      if (open_brackets.empty() && AtEndTag(is_variable)) continue;
      PUNA_RETURN_IF_ERROR(CodeToken(&open_brackets));
      if (tokens_.size() > kMaxTokens) return Fail("the template has too many tokens");
    }
  }

  bool AtEndTag(bool is_variable) const {
    if (is_variable) return At("}}") || At("-}}");
    return At("%}") || At("-%}") || At("+%}");
  }

  Status CodeToken(std::string* open_brackets) {
    const char c = Char();
    if (c >= '0' && c <= '9') return Number();
    if (c == '\'' || c == '"') return String(c);
    const DecodedCodepoint decoded = DecodeUtf8(std::string_view(source_).substr(pos_));
    if (c == '_' || (decoded.valid && IsPyAlpha(decoded.codepoint))) return Name();
    static constexpr std::string_view kOperators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view text : kOperators) {
      if (!At(text)) continue;
      if (text == "(" || text == "[" || text == "{") {
        *open_brackets += text == "(" ? ')' : text == "[" ? ']' : '}';
      } else if (text == ")" || text == "]" || text == "}") {
        if (open_brackets->empty() || open_brackets->back() != text[0]) {
          return Fail(fmt::format("unexpected '{}'", text));
        }
        open_brackets->pop_back();
      }
      Add(TokenType::kOperator, std::string(text));
      pos_ += text.size();
      return {};
    }
    return Fail(fmt::format(
        "unexpected character '{}'",
        ReplaceInvalidUtf8(std::string_view(source_).substr(pos_, decoded.length_bytes))));
  }

  Status Name() {
    const size_t begin = pos_;
    while (pos_ < source_.size()) {
      const DecodedCodepoint c = DecodeUtf8(std::string_view(source_).substr(pos_));
      if (!c.valid || !(c.codepoint == '_' || IsPyAlpha(c.codepoint) || IsPyDecimal(c.codepoint)))
        break;
      pos_ += c.length_bytes;
    }
    const size_t end = pos_;
    pos_ = begin;
    Add(TokenType::kName, source_.substr(begin, end - begin));
    pos_ = end;
    return {};
  }

  // Digits with single underscores between them.
  static size_t Digits(std::string_view text, size_t at, int base, std::string* digits) {
    while (at < text.size()) {
      size_t digit_at = at;
      if (text[at] == '_' && !digits->empty()) ++digit_at;
      if (digit_at >= text.size()) break;
      const int digit = HexDigit(text[digit_at]);
      if (digit < 0 || digit >= base) break;
      *digits += text[digit_at];
      at = digit_at + 1;
    }
    return at;
  }

  Status Number() {
    const std::string_view text = std::string_view(source_).substr(pos_);
    int base = 10;
    size_t at = 0;
    if (text.size() > 2 && text[0] == '0') {
      const char letter = static_cast<char>(text[1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
      if (base != 10) at = text[2] == '_' ? 3 : 2;
    }
    std::string digits;
    size_t end = Digits(text, at, base, &digits);
    if (base != 10 && digits.empty()) {  // "0x" without digits is the number 0 and a name
      base = 10;
      digits = "0";
      end = 1;
    }
    const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
    bool is_float = false;
    if (base == 10 && !after_dot) {
      std::string fraction;
      const size_t fraction_end =
          end < text.size() && text[end] == '.' ? Digits(text, end + 1, 10, &fraction) : end;
      if (!fraction.empty()) {
        digits += "." + fraction;
        end = fraction_end;
        is_float = true;
      }
      if (end < text.size() && (text[end] | 0x20) == 'e') {
        const size_t sign =
            end + 1 < text.size() && (text[end + 1] == '+' || text[end + 1] == '-') ? 1 : 0;
        std::string exponent;
        const size_t exponent_end = Digits(text, end + 1 + sign, 10, &exponent);
        if (!exponent.empty()) {
          digits += "e" + (sign == 1 ? std::string(1, text[end + 1]) : "") + exponent;
          end = exponent_end;
          is_float = true;
        }
      }
    }
    Token& token = Add(is_float ? TokenType::kFloat : TokenType::kInteger, digits);
    pos_ += end;
    if (is_float) {
      token.real = std::strtod(digits.c_str(), nullptr);
      return {};
    }
    const auto parsed =
        std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
    if (parsed.ec != std::errc())
      return Fail(fmt::format("the integer {} does not fit 64 bits", digits));
    return {};
  }

  Status String(char quote) {
    std::string decoded;
    size_t at = pos_ + 1;
    while (at < source_.size() && source_[at] != quote) {
      if (source_[at] == '\\' && at + 1 < source_.size()) {
        at = Escape(at + 1, &decoded);
      } else {
        decoded += source_[at++];
      }
    }
    if (at >= source_.size()) return Fail("a string is not closed");
    Add(TokenType::kString, std::move(decoded));
    pos_ = at + 1;
    return {};
  }

  // The escape whose letter is at `at`; returns the position behind it. Unknown escapes keep their
  // backslash.
  size_t Escape(size_t at, std::string* out) const {
    const char letter = source_[at++];
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (letter == '\n') return at;
    if (const size_t i = kLetters.find(letter); i != std::string_view::npos) {
      *out += kMeanings[i];
      return at;
    }
    const size_t hex_digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    uint32_t code = 0;
    size_t end = at;
    if (hex_digits > 0) {
      for (; end < source_.size() && end < at + hex_digits && HexDigit(source_[end]) >= 0; ++end) {
        code = code * 16 + static_cast<uint32_t>(HexDigit(source_[end]));
      }
      if (end == at + hex_digits && code <= 0x10FFFF) {
        AppendUtf8(code >= 0xD800 && code < 0xE000 ? char32_t{0xFFFD} : code, out);
        return end;
      }
    } else if (letter >= '0' && letter <= '7') {
      end = at - 1;
      for (; end < source_.size() && end < at + 2 && source_[end] >= '0' && source_[end] <= '7';
           ++end) {
        code = code * 8 + static_cast<uint32_t>(source_[end] - '0');
      }
      AppendUtf8(code, out);
      return end;
    }
    *out += '\\';
    *out += letter;
    return at;
  }

  std::string source_;
  size_t pos_ = 0;
  bool line_starting_ = true;  // whether the text that follows begins a line
  mutable size_t line_pos_ = 0;
  mutable int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source) {
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace puna::chat::jinja
