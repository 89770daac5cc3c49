// Pattern -> syntax tree -> automaton. Counted parts are written out, so the size of the automaton
// is checked while it grows. "^" and "$" are edges that are passable only at the ends of the text.
#include "grammar/regex.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "base/utf8.h"
#include "grammar/escape.h"
#include "grammar/unicode_category.h"

namespace puna::grammar {
namespace {

constexpr size_t kMaxPatternBytes = 64 * 1024;
constexpr int kMaxPatternDepth = 200;
constexpr size_t kMaxNfaStates = 200'000;
// Of the edges, in ranges of characters, which are copied into each.
constexpr size_t kMaxNfaRanges = 2'000'000;
constexpr int64_t kMaxCount = 1'000'000'000;

struct RegexNode {
  enum class Kind : uint8_t { kEmpty, kChars, kSequence, kChoice, kRepeat, kStart, kEnd };
  Kind kind = Kind::kEmpty;
  CharSet chars;
  std::vector<size_t> parts;
  int64_t min = 0, max = 0;
};

const CharSet& Digits() {
  static const CharSet kDigits({{'0', '9'}});
  return kDigits;
}
const CharSet& WordChars() {
  static const CharSet kWord({{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}});
  return kWord;
}
const CharSet& Spaces() {
  static const CharSet kSpaces({{'\t', '\r'},
                                {' ', ' '},
                                {0xA0, 0xA0},
                                {0x1680, 0x1680},
                                {0x2000, 0x200A},
                                {0x2028, 0x2029},
                                {0x202F, 0x202F},
                                {0x205F, 0x205F},
                                {0x3000, 0x3000},
                                {0xFEFF, 0xFEFF}});
  return kSpaces;
}
const CharSet& LineEnds() {
  static const CharSet kLineEnds({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}});
  return kLineEnds;
}

class RegexReader {
 public:
  explicit RegexReader(std::string_view text) : text_(text) {}

  Result<size_t> Run() {
    if (text_.size() > kMaxPatternBytes) {
      return MakeError(ErrorCode::kInvalidArgument, "the pattern has {} bytes, the limit is {}",
                       text_.size(), kMaxPatternBytes);
    }
    PUNA_ASSIGN_OR_RETURN(const size_t root, ReadChoice(0));
    if (!AtEnd()) return Fail("unmatched \")\"");
    return root;
  }
  const std::vector<RegexNode>& nodes() const { return nodes_; }

 private:
  template <typename... Args>
  tl::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) const {
    return MakeError(ErrorCode::kInvalidArgument, "pattern \"{}\": {}", text_.substr(0, 200),
                     fmt::format(format, std::forward<Args>(args)...));
  }
  tl::unexpected<Error> Unsupported(std::string_view what) const {
    return MakeError(ErrorCode::kUnsupported, "pattern \"{}\": {} is not supported",
                     text_.substr(0, 200), what);
  }
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool Take(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }
  size_t Add(RegexNode node) {
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
  }
  size_t AddChars(CharSet chars) {
    RegexNode node;
    node.kind = RegexNode::Kind::kChars;
    node.chars = std::move(chars);
    return Add(std::move(node));
  }
  size_t AddParts(RegexNode::Kind kind, std::vector<size_t> parts) {
    if (parts.size() == 1) return parts[0];
    RegexNode node;
    node.kind = kind;
    node.parts = std::move(parts);
    return Add(std::move(node));
  }
  size_t AddPlain(RegexNode::Kind kind) {
    RegexNode node;
    node.kind = kind;
    return Add(std::move(node));
  }

  Result<size_t> ReadChoice(int depth) {
    if (depth > kMaxPatternDepth)
      return Fail("more than {} levels of parentheses", kMaxPatternDepth);
    std::vector<size_t> choices;
    while (true) {
      std::vector<size_t> parts;
      while (!AtEnd() && Peek() != '|' && Peek() != ')') {
        PUNA_ASSIGN_OR_RETURN(size_t part, ReadAtom(depth));
        PUNA_ASSIGN_OR_RETURN(part, ReadCounts(part));
        parts.push_back(part);
      }
      choices.push_back(parts.empty() ? AddPlain(RegexNode::Kind::kEmpty)
                                      : AddParts(RegexNode::Kind::kSequence, std::move(parts)));
      if (!Take("|")) return AddParts(RegexNode::Kind::kChoice, std::move(choices));
    }
  }

  Result<size_t> ReadAtom(int depth) {
    switch (Peek()) {
      case '^':
        ++at_;
        return AddPlain(RegexNode::Kind::kStart);
      case '$':
        ++at_;
        return AddPlain(RegexNode::Kind::kEnd);
      case '.':
        ++at_;
        return AddChars(LineEnds().Complement());
      case '(':
        return ReadGroup(depth);
      case '[': {
        PUNA_ASSIGN_OR_RETURN(CharSet chars, ReadClass());
        return AddChars(std::move(chars));
      }
      case '*':
      case '+':
      case '?':
        return Fail("nothing to repeat before \"{}\"", std::string(1, Peek()));
      case '{': {
        const size_t begin = at_;
        int64_t min = 0, max = 0;
        if (ReadBounds(&min, &max)) return Fail("nothing to repeat before \"{{\"");
        at_ = begin + 1;
        return AddChars(CharSet::Of('{'));
      }
      case '\\': {
        PUNA_ASSIGN_OR_RETURN(CharSet chars, ReadEscape(false));
        return AddChars(std::move(chars));
      }
      default: {
        PUNA_ASSIGN_OR_RETURN(const char32_t c, ReadRawChar());
        return AddChars(CharSet::Of(c));
      }
    }
  }

  Result<size_t> ReadGroup(int depth) {
    ++at_;
    if (Take("?")) {
      if (Take("=") || Take("!") || Take("<=") || Take("<!")) return Unsupported("look-around");
      if (Take("<")) {
        const size_t close = text_.find('>', at_);
        if (close == std::string_view::npos) return Fail("a group's name is not closed");
        at_ = close + 1;
      } else if (!Take(":")) {
        return Fail("unknown kind of group");
      }
    }
    PUNA_ASSIGN_OR_RETURN(const size_t inner, ReadChoice(depth + 1));
    if (!Take(")")) return Fail("\"(\" is not closed");
    return inner;
  }

  Result<size_t> ReadCounts(size_t part) {
    int64_t min = 0, max = -1;
    if (Take("+")) {
      min = 1;
    } else if (Take("?")) {
      max = 1;
    } else if (Peek() == '{') {
      const size_t begin = at_;
      if (!ReadBounds(&min, &max)) {  // without the "u" flag a brace may stand for itself
        at_ = begin;
        return part;
      }
      if (max >= 0 && min > max) return Fail("numbers out of order in {{{},{}}}", min, max);
    } else if (!Take("*")) {
      return part;
    }
    Take("?");  // how greedy it is does not change what matches
    RegexNode node;
    node.kind = RegexNode::Kind::kRepeat;
    node.parts = {part};
    node.min = min;
    node.max = max;
    return Add(std::move(node));
  }

  bool ReadBounds(int64_t* min, int64_t* max) {
    ++at_;
    const auto first = ReadNumber();
    if (!first) return false;
    *min = *max = *first;
    if (Take(",")) *max = ReadNumber().value_or(-1);
    return Take("}");
  }

  std::optional<int64_t> ReadNumber() {
    const size_t begin = at_;
    int64_t number = 0;
    for (; Peek() >= '0' && Peek() <= '9'; ++at_)
      number = std::min(kMaxCount, number * 10 + (Peek() - '0'));
    return at_ == begin ? std::nullopt : std::optional<int64_t>(number);
  }

  Result<char32_t> ReadRawChar() {
    const DecodedCodepoint c = DecodeUtf8(text_.substr(at_));
    if (!c.valid) return Fail("malformed UTF-8");
    at_ += c.length_bytes;
    return c.codepoint;
  }

  Result<CharSet> ReadClass() {
    ++at_;
    const bool negated = Take("^");
    CharSet all;
    while (Peek() != ']' || AtEnd()) {
      if (AtEnd()) return Fail("\"[\" is not closed");
      PUNA_ASSIGN_OR_RETURN(CharSet first, ReadClassItem());
      const bool is_range = Peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (is_range) {
        ++at_;
        PUNA_ASSIGN_OR_RETURN(const CharSet last, ReadClassItem());
        if (!IsOneChar(first) || !IsOneChar(last))
          return Fail("a range must be between two characters");
        const CharRange range{first.ranges()[0].first, last.ranges()[0].first};
        if (range.first > range.last) return Fail("a range is out of order");
        first = CharSet({range});
      }
      all = all.Union(first);
    }
    ++at_;
    return negated ? all.Complement() : all;
  }
  static bool IsOneChar(const CharSet& chars) {
    return chars.ranges().size() == 1 && chars.ranges()[0].first == chars.ranges()[0].last;
  }
  Result<CharSet> ReadClassItem() {
    if (Peek() == '\\') return ReadEscape(true);
    PUNA_ASSIGN_OR_RETURN(const char32_t c, ReadRawChar());
    return CharSet::Of(c);
  }

  Result<CharSet> ReadEscape(bool in_class) {
    ++at_;
    if (AtEnd()) return Fail("\"\\\" at the end");
    const char c = Peek();
    ++at_;
    if (const auto control = ControlEscape(c)) return CharSet::Of(*control);
    switch (c) {
      case 'd':
        return Digits();
      case 'D':
        return Digits().Complement();
      case 'w':
        return WordChars();
      case 'W':
        return WordChars().Complement();
      case 's':
        return Spaces();
      case 'S':
        return Spaces().Complement();
      case 'p':
      case 'P':
        return ReadProperty(c == 'P');
      case '0':
        return CharSet::Of(0);
      case 'c':
        return ReadControl();
      case 'x':
      case 'u': {
        PUNA_ASSIGN_OR_RETURN(const char32_t code, ReadCode(c));
        return CharSet::Of(code);
      }
      case 'b':
        if (in_class) return CharSet::Of('\b');
        return Unsupported("a word boundary (\\b)");
      case 'B':
        return Unsupported("a word boundary (\\B)");
      default:
        break;
    }
    if (c >= '1' && c <= '9') return Unsupported("a back reference");
    if (c == 'k') return Unsupported("a back reference (\\k)");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
      return Fail("unknown escape \\{}", std::string(1, c));
    --at_;
    PUNA_ASSIGN_OR_RETURN(const char32_t code, ReadRawChar());
    return CharSet::Of(code);
  }

  Result<CharSet> ReadControl() {
    const char c = Peek();
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return Fail("\\c needs a letter");
    ++at_;
    return CharSet::Of(static_cast<char32_t>(c & 31));
  }

  Result<CharSet> ReadProperty(bool negated) {
    const size_t close = text_.find('}', at_);
    if (!Take("{") || close == std::string_view::npos) return Fail("\\p needs a name in braces");
    const std::string_view name = text_.substr(at_, close - at_);
    at_ = close + 1;
    const std::optional<CharSet> chars = CharsOfCategory(name);
    if (!chars) return Unsupported(fmt::format("the Unicode property \"{}\"", name.substr(0, 60)));
    return negated ? chars->Complement() : *chars;
  }

  // \xHH, \uHHHH (two of them for a character beyond U+FFFF) and \u{H...}.
  Result<char32_t> ReadCode(char kind) {
    if (kind == 'x') return ReadHex(2);
    if (Take("{")) {
      const size_t close = text_.find('}', at_);
      if (close == std::string_view::npos || close == at_ || close - at_ > 8)
        return Fail("malformed \\u{{...}}");
      PUNA_ASSIGN_OR_RETURN(const char32_t code, ReadHex(close - at_));
      ++at_;
      if (code > kLastChar) return Fail("no character has the number in \\u{{...}}");
      return code;
    }
    PUNA_ASSIGN_OR_RETURN(const char32_t high, ReadHex(4));
    if (high < 0xD800 || high > 0xDBFF || !Take("\\u")) return high;
    PUNA_ASSIGN_OR_RETURN(const char32_t low, ReadHex(4));
    if (low < 0xDC00 || low > 0xDFFF) return Fail("a high surrogate without a low one");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }
  Result<char32_t> ReadHex(size_t digits) {
    const auto value = puna::ReadHex(text_.substr(at_), digits);
    if (!value) return Fail("expected {} hexadecimal digits", digits);
    at_ += digits;
    return static_cast<char32_t>(*value);
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<RegexNode> nodes_;
};

class NfaBuilder {
 public:
  explicit NfaBuilder(const std::vector<RegexNode>& nodes) : nodes_(nodes) {}

  Result<CharNfa> Run(size_t root, RegexMatch match) {
    nfa_.start = nfa_.AddState();
    const int32_t begin = nfa_.AddState();
    nfa_.accept = nfa_.AddState();
    nfa_.open_end = match == RegexMatch::kAnywhere;
    At(nfa_.start).epsilons.push_back(begin);
    if (match == RegexMatch::kAnywhere) {
      const int32_t later = nfa_.AddState();
      At(nfa_.start).edges.push_back({CharSet::All(), later});
      At(later).edges.push_back({CharSet::All(), later});
      At(later).epsilons.push_back(begin);
    }
    Build(root, begin, nfa_.accept);
    if (TooLarge()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the pattern is too complex: written out it has more than {} characters or "
                       "{} ranges of them",
                       kMaxNfaStates, kMaxNfaRanges);
    }
    return std::move(nfa_);
  }

 private:
  CharNfa::State& At(int32_t state) { return nfa_.states[static_cast<size_t>(state)]; }
  bool TooLarge() const { return nfa_.states.size() > kMaxNfaStates || ranges_ > kMaxNfaRanges; }

  void Build(size_t id, int32_t from, int32_t to) {
    if (TooLarge()) return;
    const RegexNode& node = nodes_[id];
    ranges_ += 1 + node.chars.ranges().size();
    switch (node.kind) {
      case RegexNode::Kind::kEmpty:
        At(from).epsilons.push_back(to);
        return;
      case RegexNode::Kind::kStart:
        At(from).at_start.push_back(to);
        return;
      case RegexNode::Kind::kEnd:
        At(from).at_end.push_back(to);
        return;
      case RegexNode::Kind::kChars:
        At(from).edges.push_back({node.chars, to});
        return;
      case RegexNode::Kind::kSequence:
        for (size_t i = 0; i < node.parts.size(); ++i) {
          const int32_t next = i + 1 == node.parts.size() ? to : nfa_.AddState();
          Build(node.parts[i], from, next);
          from = next;
        }
        return;
      case RegexNode::Kind::kChoice:
        for (const size_t part : node.parts) Build(part, from, to);
        return;
      case RegexNode::Kind::kRepeat:
        BuildRepeat(node, from, to);
        return;
    }
  }

  void BuildRepeat(const RegexNode& node, int32_t from, int32_t to) {
    const auto go_on = [&] { return !TooLarge(); };
    for (int64_t i = 0; i < node.min && go_on(); ++i) {
      const int32_t next = nfa_.AddState();
      Build(node.parts[0], from, next);
      from = next;
    }
    if (node.max < 0) {
      const int32_t loop = nfa_.AddState();
      const int32_t back = nfa_.AddState();
      At(from).epsilons.push_back(loop);
      Build(node.parts[0], loop, back);
      At(back).epsilons.push_back(loop);
      At(loop).epsilons.push_back(to);
      return;
    }
    for (int64_t i = node.min; i < node.max && go_on(); ++i) {
      const int32_t next = nfa_.AddState();
      At(from).epsilons.push_back(to);
      Build(node.parts[0], from, next);
      from = next;
    }
    At(from).epsilons.push_back(to);
  }

  const std::vector<RegexNode>& nodes_;
  CharNfa nfa_;
  size_t ranges_ = 0;
};

}  // namespace

Result<CharDfa> ReadRegex(std::string_view pattern, RegexMatch match, Effort* effort) {
  RegexReader reader(pattern);
  PUNA_ASSIGN_OR_RETURN(const size_t root, reader.Run());
  PUNA_ASSIGN_OR_RETURN(const CharNfa nfa, NfaBuilder(reader.nodes()).Run(root, match));
  return Determinize(nfa, effort);
}

}  // namespace puna::grammar
