// Thompson's construction, with three additions:
//
// * The characters outside ASCII of a class are a rule of their own, made once per set: a state
// that
//   reads a character is then one state whatever its set, and a string of up to ten thousand
//   characters has ten thousand states, not a hundred thousand.
// * A repetition of something large calls it as a rule instead of copying it.
// * States that read the characters of a text say how far they accept any text at all (TextRun).
#include "grammar/lowering.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace puna::grammar {
namespace {

using Kind = Expressions::Kind;

const CharSet& Ascii() {
  static const CharSet kAscii({{0, 0x7F}});
  return kAscii;
}
const CharSet& BeyondAscii() {
  static const CharSet kBeyond({{0x80, kLastChar}});
  return kBeyond;
}

std::string Utf8(char32_t c) {
  std::string bytes;
  AppendUtf8(c, &bytes);
  return bytes;
}

// Expressions nested deeper than this come from hostile input only; readers have tighter limits.
constexpr int kMaxLoweringDepth = 2000;

class Lowering {
 public:
  explicit Lowering(const Expressions& expressions)
      : expressions_(expressions), rule_ids_(expressions.rules().size(), -1) {}

  Result<Automaton> Run(ExprId root) {
    const RuleId start = out_.AddRule("root");
    BuildRule(start, root);
    // Rules that are called, and repeated parts, are built when something needs them.
    while (!pending_.empty() && !out_.too_large()) {
      const auto [rule, body] = pending_.back();
      pending_.pop_back();
      BuildRule(rule, body);
    }
    if (too_deep_) {
      return MakeError(ErrorCode::kInvalidArgument, "the grammar is nested deeper than {} levels",
                       kMaxLoweringDepth);
    }
    return out_.Build(start);
  }

 private:
  void BuildRule(RuleId rule, ExprId body) {
    const StateId start = out_.AddState();
    const StateId end = out_.AddState();
    out_.SetRule(rule, start, end);
    Build(body, start, end, 0);
  }

  RuleId RuleOf(RuleId rule) {
    RuleId& id = rule_ids_[static_cast<size_t>(rule)];
    if (id < 0) {
      const Expressions::Rule& source = expressions_.rules()[static_cast<size_t>(rule)];
      id = out_.AddRule(source.name);
      pending_.emplace_back(id, source.body);
    }
    return id;
  }

  // Makes every text of `id` lead from `from` to `to`.
  void Build(ExprId id, StateId from, StateId to, int depth) {
    if (depth > kMaxLoweringDepth) too_deep_ = true;
    if (too_deep_ || out_.too_large()) return;
    const Expressions::Node& node = expressions_.node(id);
    switch (node.kind) {
      case Kind::kNothing:
        return;
      case Kind::kBytes:
        return BuildBytes(node.bytes, from, to);
      case Kind::kClass:
        return BuildClass(node.chars, from, to);
      case Kind::kSequence:
        for (size_t i = 0; i + 1 < node.parts.size(); ++i) {
          const StateId next = out_.AddState();
          Build(node.parts[i], from, next, depth + 1);
          from = next;
        }
        if (node.parts.empty()) return out_.AddEpsilon(from, to);
        return Build(node.parts.back(), from, to, depth + 1);
      case Kind::kChoice:
        for (const ExprId part : node.parts) Build(part, from, to, depth + 1);
        return;
      case Kind::kRepeat:
        return BuildRepeat(node, from, to, depth);
      case Kind::kCall:
        if (const auto chars = AsClass(id)) return BuildClass(*chars, from, to);
        return out_.AddCall(from, RuleOf(node.rule), to);
      case Kind::kString:
        return BuildString(*node.dfa, from, to);
      case Kind::kText:
        return BuildText(*node.dfa, from, to);
    }
  }

  void BuildBytes(std::string_view bytes, StateId from, StateId to) {
    if (bytes.empty()) return out_.AddEpsilon(from, to);
    for (size_t i = 0; i < bytes.size(); ++i) {
      const StateId next = i + 1 == bytes.size() ? to : out_.AddState();
      const auto byte = static_cast<uint8_t>(bytes[i]);
      out_.AddBytes(from, byte, byte, next);
      from = next;
    }
  }

  void BuildClass(const CharSet& chars, StateId from, StateId to) {
    const CharSet narrow = chars.Intersection(Ascii());
    for (const CharRange& range : narrow.ranges()) {
      out_.AddBytes(from, static_cast<uint8_t>(range.first), static_cast<uint8_t>(range.last), to);
    }
    const CharSet wide = chars.Intersection(BeyondAscii());
    if (wide.empty()) return;
    const auto [rule, is_new] = wide_rules_.try_emplace(wide, 0);
    if (is_new) rule->second = WideRule(wide);
    out_.AddCall(from, rule->second, to);
  }

  // The UTF-8 forms of a set beyond ASCII.
  RuleId WideRule(const CharSet& chars) {
    const RuleId rule = out_.AddRule("characters");
    const StateId start = out_.AddState();
    const StateId end = out_.AddState();
    out_.SetRule(rule, start, end);
    // Continuation bytes that may be anything are shared.
    std::vector<StateId> any_tail = {end};
    const auto tail = [&](size_t bytes) {
      while (any_tail.size() <= bytes) {
        const StateId state = out_.AddState();
        out_.AddBytes(state, 0x80, 0xBF, any_tail.back());
        any_tail.push_back(state);
      }
      return any_tail[bytes];
    };
    for (const CharRange& range : chars.ranges()) {
      char32_t first = range.first;
      for (const char32_t limit : {char32_t{0x7FF}, char32_t{0xFFFF}, kLastChar}) {
        if (first > std::min(limit, range.last)) continue;
        const char32_t last = std::min(limit, range.last);
        SplitRange(Utf8(first), Utf8(last), start, tail);
        first = last + 1;
      }
    }
    return rule;
  }

  // All byte strings from `low` to `high`, of one length, in the order of bytes.
  template <typename Tail>
  void SplitRange(std::string_view low, std::string_view high, StateId from, const Tail& tail) {
    const auto first = static_cast<uint8_t>(low[0]);
    const auto last = static_cast<uint8_t>(high[0]);
    const size_t rest = low.size() - 1;
    if (rest == 0) return out_.AddBytes(from, first, last, tail(0));
    const auto all = [](std::string_view bytes, char byte) {
      return std::all_of(bytes.begin() + 1, bytes.end(), [&](char b) { return b == byte; });
    };
    const bool low_is_whole = all(low, '\x80');
    const bool high_is_whole = all(high, '\xBF');
    if (first == last && !(low_is_whole && high_is_whole)) {
      const StateId next = out_.AddState();
      out_.AddBytes(from, first, first, next);
      return SplitRange(low.substr(1), high.substr(1), next, tail);
    }
    int whole_first = first, whole_last = last;
    if (!low_is_whole) {
      const StateId next = out_.AddState();
      out_.AddBytes(from, first, first, next);
      SplitRange(low.substr(1), std::string(rest, '\xBF'), next, tail);
      ++whole_first;
    }
    if (!high_is_whole) {
      const StateId next = out_.AddState();
      out_.AddBytes(from, last, last, next);
      SplitRange(std::string(rest, '\x80'), high.substr(1), next, tail);
      --whole_last;
    }
    if (whole_first <= whole_last) {
      out_.AddBytes(from, static_cast<uint8_t>(whole_first), static_cast<uint8_t>(whole_last),
                    tail(rest));
    }
  }

  // The set, if the expression is always one character of a set.
  std::optional<CharSet> AsClass(ExprId id) const {
    int nodes_left = 256;  // rules that call each other twice describe exponentially many
    return AsClass(id, 0, &nodes_left);
  }
  std::optional<CharSet> AsClass(ExprId id, int depth, int* nodes_left) const {
    const Expressions::Node& node = expressions_.node(id);
    if (depth > 8 || --*nodes_left < 0) return std::nullopt;
    if (node.kind == Kind::kClass) return node.chars;
    if (node.kind == Kind::kBytes && node.bytes.size() == 1 &&
        static_cast<uint8_t>(node.bytes[0]) < 0x80) {
      return CharSet::Of(static_cast<uint8_t>(node.bytes[0]));
    }
    if (node.kind == Kind::kCall)
      return AsClass(expressions_.rules()[static_cast<size_t>(node.rule)].body, depth + 1,
                     nodes_left);
    if (node.kind != Kind::kChoice || node.parts.size() > 64) return std::nullopt;
    CharSet all;
    for (const ExprId part : node.parts) {
      const auto chars = AsClass(part, depth + 1, nodes_left);
      if (!chars) return std::nullopt;
      all = all.Union(*chars);
    }
    return all;
  }

  // Whether a text of plain characters, however long, is a repetition of this.
  bool TakesPlainChars(ExprId id) const {
    if (const auto chars = AsClass(id)) return chars->Covers(PlainChars());
    const Expressions::Node& node = expressions_.node(id);
    return node.kind == Kind::kChoice &&
           std::any_of(node.parts.begin(), node.parts.end(), [this](ExprId part) {
             const auto chars = AsClass(part);
             return chars && chars->Covers(PlainChars());
           });
  }

  void BuildRepeat(const Expressions::Node& node, StateId from, StateId to, int depth) {
    ExprId part = node.parts[0];
    const Expressions::Node& body = expressions_.node(part);
    const bool small = body.kind == Kind::kClass || body.kind == Kind::kCall ||
                       (body.kind == Kind::kBytes && body.bytes.size() <= 4);
    std::optional<RuleId> rule;
    if (!small && std::max(node.min, node.max) > 1) {
      const auto [known, is_new] = repeated_rules_.try_emplace(part, 0);
      if (is_new) {
        known->second = out_.AddRule("repeated part");
        pending_.emplace_back(known->second, part);
      }
      rule = known->second;
    }
    const auto once = [&](StateId begin, StateId end) {
      rule ? out_.AddCall(begin, *rule, end) : Build(part, begin, end, depth + 1);
    };
    for (int64_t i = 0; i < node.min && !out_.too_large(); ++i) {
      const StateId next = out_.AddState();
      once(from, next);
      from = next;
    }
    if (node.max < 0) {
      const StateId loop = out_.AddState();
      out_.AddEpsilon(from, loop);
      if (const auto chars = AsClass(part)) {
        BuildClass(*chars, loop, loop);
      } else {
        const StateId back = out_.AddState();
        once(loop, back);
        out_.AddEpsilon(back, loop);
      }
      if (TakesPlainChars(part)) out_.SetRun(loop, {.chars = TextRun::kUnlimited, .exact = true});
      return out_.AddEpsilon(loop, to);
    }
    for (int64_t i = node.min; i < node.max && !out_.too_large(); ++i) {
      out_.AddEpsilon(from, to);
      const StateId next = out_.AddState();
      once(from, next);
      from = next;
    }
    out_.AddEpsilon(from, to);
  }

  // How far each state of `dfa` accepts any plain text, and which states are alike.
  std::vector<TextRun> RunsOf(const CharDfa& dfa) {
    const size_t count = dfa.states.size();
    std::vector<TextRun> runs(count);
    std::vector<std::vector<size_t>> into(count);
    std::vector<int32_t> plain_target(count, -1);  // the only target of plain characters
    std::vector<size_t> work;
    constexpr int32_t kUnknown = TextRun::kUnlimited;
    for (size_t s = 0; s < count; ++s) {
      std::vector<CharRange> ranges;
      std::vector<int32_t> targets;
      for (const CharDfa::Edge& edge : dfa.states[s].edges) {
        ranges.push_back(edge.chars);
        if (CharSet({edge.chars}).Intersection(PlainChars()).empty()) continue;
        if (targets.empty() || targets.back() != edge.to) targets.push_back(edge.to);
      }
      runs[s].chars = kUnknown;
      if (!CharSet(std::move(ranges)).Covers(PlainChars())) {
        runs[s].chars = 0;
        runs[s].exact = targets.empty();
        work.push_back(s);
      } else {
        for (const int32_t to : targets) into[static_cast<size_t>(to)].push_back(s);
        if (targets.size() == 1) plain_target[s] = targets[0];
      }
    }
    // Breadth first from the states that stop some text: the shortest way is the guaranteed length.
    for (size_t i = 0; i < work.size(); ++i) {
      const size_t s = work[i];
      for (const size_t from : into[s]) {
        if (runs[from].chars != kUnknown) continue;
        runs[from].chars = runs[s].chars + 1;
        work.push_back(from);
      }
    }
    for (TextRun& run : runs) run.exact = run.exact || run.chars == kUnknown;
    for (const size_t s : work) {
      const int32_t to = plain_target[s];
      if (to < 0) continue;
      const auto next = static_cast<size_t>(to);
      runs[s].exact = runs[next].exact;
      // Alike as long as every character leads on in the same way.
      const bool alike = dfa.states[s].accepting == dfa.states[next].accepting &&
                         IsWhole(dfa.states[s]) && IsWhole(dfa.states[next]);
      runs[s].zone = alike ? runs[next].zone : out_.NewZone();
      runs[s].zone_chars = alike ? runs[next].zone_chars + 1 : 1;
    }
    return runs;
  }

  // Every character leads to one and the same state.
  static bool IsWhole(const CharDfa::State& state) {
    return state.edges.size() == 1 && state.edges[0].chars.first == 0 &&
           state.edges[0].chars.last == kLastChar;
  }

  // The states of `dfa` as states of the automaton; `edges` builds one target's characters.
  // `closed`: what comes behind the text begins with no plain character.
  template <typename Edges>
  std::vector<StateId> BuildDfa(const CharDfa& dfa, bool closed, const Edges& edges) {
    std::vector<StateId> states;
    for (size_t s = 0; s < dfa.states.size(); ++s) states.push_back(out_.AddState());
    std::vector<TextRun> runs = RunsOf(dfa);
    for (TextRun& run : runs) run.exact = run.exact && (closed || run.chars == TextRun::kUnlimited);
    for (size_t s = 0; s < dfa.states.size(); ++s) {
      if (out_.too_large()) break;
      if (runs[s].chars > 0) out_.SetRun(states[s], runs[s]);
      std::map<int32_t, std::vector<CharRange>> by_target;
      for (const CharDfa::Edge& edge : dfa.states[s].edges)
        by_target[edge.to].push_back(edge.chars);
      for (auto& [to, ranges] : by_target) {
        edges(CharSet(std::move(ranges)), states[s], states[static_cast<size_t>(to)]);
      }
    }
    return states;
  }

  void BuildText(const CharDfa& dfa, StateId from, StateId to) {
    const std::vector<StateId> states =
        BuildDfa(dfa, false, [this](const CharSet& chars, StateId begin, StateId end) {
          BuildClass(chars, begin, end);
        });
    out_.AddEpsilon(from, states[0]);
    for (size_t s = 0; s < states.size(); ++s) {
      if (dfa.states[s].accepting) out_.AddEpsilon(states[s], to);
    }
  }

  void BuildString(const CharDfa& dfa, StateId from, StateId to) {
    const std::vector<StateId> states =
        BuildDfa(dfa, true, [this](const CharSet& chars, StateId begin, StateId end) {
          BuildStringChars(chars, begin, end);
        });
    out_.AddBytes(from, '"', '"', states[0]);
    for (size_t s = 0; s < states.size(); ++s) {
      if (dfa.states[s].accepting) out_.AddBytes(states[s], '"', '"', to);
    }
  }

  // One character of a JSON string, as itself or escaped. A set with everything beyond ASCII also
  // takes \uXXXX of any kind; other sets have one way to write a character.
  void BuildStringChars(const CharSet& chars, StateId from, StateId to) {
    static const CharSet kAsThemselves(
        {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, kLastChar}});
    BuildClass(chars.Intersection(kAsThemselves), from, to);
    const CharSet rest = chars.Covers(CharSet::All()) ? CharSet::All() : chars.Minus(kAsThemselves);
    if (rest.empty()) return;
    const auto [rule, is_new] = escape_rules_.try_emplace(rest, 0);
    if (is_new) rule->second = EscapeRule(rest);
    out_.AddCall(from, rule->second, to);
  }

  RuleId EscapeRule(const CharSet& chars) {
    const RuleId rule = out_.AddRule("escape");
    const StateId start = out_.AddState();
    const StateId end = out_.AddState();
    out_.SetRule(rule, start, end);
    const StateId escape = out_.AddState();
    out_.AddBytes(start, '\\', '\\', escape);
    static constexpr std::pair<char32_t, char> kShort[] = {
        {'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};
    for (const auto& [c, letter] : kShort) {
      if (chars.Contains(c))
        out_.AddBytes(escape, static_cast<uint8_t>(letter), static_cast<uint8_t>(letter), end);
    }
    if (chars.Covers(CharSet::All())) {
      out_.AddBytes(escape, '/', '/', end);
      BuildAnyHex(escape, end);
      return rule;
    }
    for (char32_t c = 0; c < 0x20; ++c) {
      const bool is_short = std::any_of(std::begin(kShort), std::end(kShort),
                                        [c](const auto& row) { return row.first == c; });
      if (is_short || !chars.Contains(c)) continue;
      const StateId high = out_.AddState(), low = out_.AddState();
      BuildBytes("u00", escape, high);
      const auto digit = static_cast<uint8_t>('0' + (c >> 4));
      out_.AddBytes(high, digit, digit, low);
      AddHexDigit(low, static_cast<int>(c & 15), static_cast<int>(c & 15), end);
    }
    return rule;
  }

  void AddHexDigit(StateId from, int first, int last, StateId to) {
    if (first < 10) {
      out_.AddBytes(from, static_cast<uint8_t>('0' + first),
                    static_cast<uint8_t>('0' + std::min(last, 9)), to);
    }
    if (last < 10) return;
    const int letter = std::max(first, 10) - 10;
    out_.AddBytes(from, static_cast<uint8_t>('a' + letter), static_cast<uint8_t>('a' + last - 10),
                  to);
    out_.AddBytes(from, static_cast<uint8_t>('A' + letter), static_cast<uint8_t>('A' + last - 10),
                  to);
  }

  // uXXXX: anything but a lone surrogate.
  void BuildAnyHex(StateId from, StateId to) {
    const StateId digits = out_.AddState(), last1 = out_.AddState(), last2 = out_.AddState(),
                  last3 = out_.AddState(), d = out_.AddState(), high1 = out_.AddState(),
                  high2 = out_.AddState(), second = out_.AddState(), low = out_.AddState(),
                  low_d = out_.AddState();
    out_.AddBytes(from, 'u', 'u', digits);
    AddHexDigit(digits, 0, 12, last3);
    AddHexDigit(digits, 14, 15, last3);
    AddHexDigit(last3, 0, 15, last2);
    AddHexDigit(last2, 0, 15, last1);
    AddHexDigit(last1, 0, 15, to);
    AddHexDigit(digits, 13, 13, d);
    AddHexDigit(d, 0, 7, last2);
    AddHexDigit(d, 8, 11, high2);  // a high surrogate: a low one must follow
    AddHexDigit(high2, 0, 15, high1);
    AddHexDigit(high1, 0, 15, second);
    BuildBytes("\\u", second, low);
    AddHexDigit(low, 13, 13, low_d);
    AddHexDigit(low_d, 12, 15, last2);
  }

  const Expressions& expressions_;
  std::vector<RuleId> rule_ids_;  // of the automaton; -1: nothing has called it yet
  AutomatonBuilder out_;
  bool too_deep_ = false;
  std::map<CharSet, RuleId> wide_rules_, escape_rules_;
  std::map<ExprId, RuleId> repeated_rules_;
  std::vector<std::pair<RuleId, ExprId>> pending_;
};

}  // namespace

Result<Automaton> Lower(const Expressions& expressions, ExprId root) {
  return Lowering(expressions).Run(root);
}

}  // namespace puna::grammar
