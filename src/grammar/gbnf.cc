// Recursive descent. A line end closes a rule unless it stands in parentheses or behind "::=" or
// "|".
#include "grammar/gbnf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "base/utf8.h"
#include "grammar/escape.h"
#include "grammar/token_trie.h"

namespace puna::grammar {
namespace {

constexpr size_t kMaxGbnfBytes = size_t{1} << 20;
constexpr int kMaxGbnfDepth = 200;
constexpr int64_t kMaxRepeatCount = 1'000'000'000;

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class GbnfReader {
 public:
  GbnfReader(std::string_view text, Expressions* out) : text_(text), out_(out) {}

  Result<ExprId> Run() {
    if (text_.size() > kMaxGbnfBytes) {
      return MakeError(ErrorCode::kInvalidArgument, "the grammar has {} bytes, the limit is {}",
                       text_.size(), kMaxGbnfBytes);
    }
    SkipSpace(true);
    while (!AtEnd()) PUNA_RETURN_IF_ERROR(ReadRule());
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined) {
        return MakeError(ErrorCode::kInvalidArgument,
                         "grammar: rule \"{}\" is used in line {} and not defined", name,
                         rule.line);
      }
    }
    const auto root = rules_.find("root");
    if (root == rules_.end())
      return MakeError(ErrorCode::kInvalidArgument, "grammar: there is no rule \"root\"");
    return out_->Call(root->second.id);
  }

 private:
  struct Rule {
    RuleId id;
    int line;
    bool defined = false;
  };

  template <typename... Args>
  tl::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) const {
    return MakeError(ErrorCode::kInvalidArgument, "grammar, line {}: {}", Line(),
                     fmt::format(format, std::forward<Args>(args)...));
  }
  // Counted on from where it was asked for last: a large grammar asks often.
  int Line() const {
    const size_t to = std::min(at_, text_.size());
    if (to < counted_to_) return line_;
    const std::string_view passed = text_.substr(counted_to_, to - counted_to_);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    counted_to_ = to;
    return line_;
  }
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool Take(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  void SkipSpace(bool line_ends_too) {
    while (!AtEnd()) {
      const char c = Peek();
      if (c == '#') {
        while (!AtEnd() && Peek() != '\n' && Peek() != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (line_ends_too && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view ReadName() {
    const size_t begin = at_;
    while (!AtEnd() && IsNameChar(Peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Rule& RuleOf(std::string_view name) {
    const auto it = rules_.find(name);
    if (it != rules_.end()) return it->second;
    const Rule rule{out_->AddRule(std::string(name)), Line()};
    return rules_.emplace(std::string(name), rule).first->second;
  }

  Status ReadRule() {
    const std::string_view name = ReadName();
    if (name.empty()) return Fail("expected the name of a rule");
    SkipSpace(false);
    if (!Take("::=")) return Fail("expected \"::=\" behind \"{}\"", name);
    SkipSpace(true);
    if (RuleOf(name).defined) return Fail("rule \"{}\" is defined twice", name);
    RuleOf(name).defined = true;
    PUNA_ASSIGN_OR_RETURN(const ExprId body, ReadChoice(0, false));
    out_->Define(RuleOf(name).id, body);
    if (!AtEnd() && Peek() != '\n' && Peek() != '\r')
      return Fail("unexpected \"{}\"", std::string(1, Peek()));
    SkipSpace(true);
    return {};
  }

  Result<ExprId> ReadChoice(int depth, bool nested) {
    if (depth > kMaxGbnfDepth) return Fail("more than {} levels of parentheses", kMaxGbnfDepth);
    std::vector<ExprId> choices;
    while (true) {
      PUNA_ASSIGN_OR_RETURN(const ExprId sequence, ReadSequence(depth, nested));
      choices.push_back(sequence);
      if (!Take("|")) return out_->Choice(std::move(choices));
      SkipSpace(true);
    }
  }

  Result<ExprId> ReadSequence(int depth, bool nested) {
    std::vector<ExprId> parts;
    while (true) {
      const char c = Peek();
      std::optional<ExprId> part;
      if (c == '"') {
        PUNA_ASSIGN_OR_RETURN(part, ReadLiteral());
      } else if (c == '[') {
        PUNA_ASSIGN_OR_RETURN(part, ReadClass());
      } else if (c == '.') {
        ++at_;
        part = out_->Class(CharSet::All());
      } else if (c == '(') {
        ++at_;
        SkipSpace(true);
        PUNA_ASSIGN_OR_RETURN(part, ReadChoice(depth + 1, true));
        if (!Take(")")) return Fail("expected \")\"");
      } else if (c == '<' || c == '!') {
        PUNA_ASSIGN_OR_RETURN(part, ReadToken());
      } else if (IsNameChar(c)) {
        part = out_->Call(RuleOf(ReadName()).id);
      } else {
        return out_->Sequence(std::move(parts));
      }
      SkipSpace(nested);
      PUNA_ASSIGN_OR_RETURN(part, ReadCounts(*part, nested));
      parts.push_back(*part);
    }
  }

  Result<ExprId> ReadCounts(ExprId part, bool nested) {
    while (true) {
      int64_t min = 0, max = -1;
      if (Take("+")) {
        min = 1;
      } else if (Take("?")) {
        max = 1;
      } else if (Take("{")) {
        PUNA_RETURN_IF_ERROR(ReadBounds(&min, &max));
      } else if (!Take("*")) {
        return part;
      }
      part = out_->Repeat(part, min, max);
      SkipSpace(nested);
    }
  }

  Status ReadBounds(int64_t* min, int64_t* max) {
    SkipSpace(true);
    const auto first = ReadNumber();
    SkipSpace(true);
    *min = first.value_or(0);
    *max = *min;
    if (Take(",")) {
      SkipSpace(true);
      *max = ReadNumber().value_or(-1);
      SkipSpace(true);
    } else if (!first) {
      return Fail("expected a number behind \"{{\"");
    }
    if (!Take("}")) return Fail("expected \"}}\" behind a number");
    if (*max >= 0 && *min > *max)
      return Fail("at least {} and at most {} times is never", *min, *max);
    return {};
  }

  std::optional<int64_t> ReadNumber() {
    const size_t begin = at_;
    int64_t number = 0;
    while (Peek() >= '0' && Peek() <= '9' && !AtEnd()) {
      number = std::min(kMaxRepeatCount, number * 10 + (Peek() - '0'));
      ++at_;
    }
    return at_ == begin ? std::nullopt : std::optional<int64_t>(number);
  }

  // A character of a literal or a class, escapes undone.
  Result<char32_t> ReadChar() {
    if (AtEnd()) return Fail("unexpected end");
    if (!Take("\\")) {
      const DecodedCodepoint c = DecodeUtf8(text_.substr(at_));
      if (!c.valid) return Fail("malformed UTF-8");
      at_ += c.length_bytes;
      return c.codepoint;
    }
    const char letter = Peek();
    ++at_;
    if (const auto control = ControlEscape(letter)) return *control;
    switch (letter) {
      case 'x':
        return ReadHex(2);
      case 'u':
        return ReadHex(4);
      case 'U':
        return ReadHex(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<char32_t>(letter);
      default:
        --at_;
        return Fail("unknown escape \\{}", AtEnd() ? std::string("end") : std::string(1, letter));
    }
  }

  Result<char32_t> ReadHex(size_t digits) {
    const auto read = puna::ReadHex(text_.substr(std::min(at_, text_.size())), digits);
    if (!read) return Fail("expected {} hexadecimal digits", digits);
    at_ += digits;
    const uint32_t value = *read;
    if (value > kLastChar || (value >= 0xD800 && value <= 0xDFFF))
      return Fail("U+{:04X} is not a character", value);
    return static_cast<char32_t>(value);
  }

  Result<ExprId> ReadLiteral() {
    ++at_;
    std::string bytes;
    while (Peek() != '"' || AtEnd()) {
      PUNA_ASSIGN_OR_RETURN(const char32_t c, ReadChar());
      AppendUtf8(c, &bytes);
    }
    ++at_;
    return out_->Bytes(bytes);
  }

  Result<ExprId> ReadClass() {
    ++at_;
    const bool negated = Take("^");
    std::vector<CharRange> ranges;
    while (Peek() != ']' || AtEnd()) {
      PUNA_ASSIGN_OR_RETURN(const char32_t first, ReadChar());
      char32_t last = first;
      if (Peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        PUNA_ASSIGN_OR_RETURN(last, ReadChar());
      }
      ranges.push_back({first, last});
    }
    ++at_;
    const CharSet chars(std::move(ranges));
    return out_->Class(negated ? chars.Complement() : chars);
  }

  // <name>: a control token by its text.
  Result<ExprId> ReadToken() {
    const size_t close = text_.find('>', at_);
    if (Peek() == '!' || close == std::string_view::npos || text_[at_ + 1] == '[') {
      return MakeError(ErrorCode::kUnsupported,
                       "grammar, line {}: only tokens by their text are supported, as in <think>",
                       Line());
    }
    const std::string name(text_.substr(at_, close + 1 - at_));
    at_ = close + 1;
    return out_->Choice({out_->Bytes(name), out_->Bytes(kSpecialMark + name)});
  }

  std::string_view text_;
  size_t at_ = 0;
  mutable size_t counted_to_ = 0;
  mutable int line_ = 1;
  Expressions* out_;
  std::map<std::string, Rule, std::less<>> rules_;
};

}  // namespace

Result<ExprId> ReadGbnf(std::string_view text, Expressions* out) {
  return GbnfReader(text, out).Run();
}

}  // namespace puna::grammar
