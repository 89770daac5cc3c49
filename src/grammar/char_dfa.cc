// Products and subsets are built from the start on, so only states that some text reaches exist;
// states from which nothing is accepted are cut off afterwards.
#include "grammar/char_dfa.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "grammar/automaton.h"

namespace puna::grammar {
namespace {

tl::unexpected<Error> TooLarge() {
  return MakeError(ErrorCode::kInvalidArgument,
                   "the pattern is too complex: its automaton has more than {} states",
                   CharDfa::kMaxStates);
}

// Removes states that lead nowhere; joins neighbouring ranges with one target.
CharDfa Trimmed(CharDfa dfa) {
  const size_t count = dfa.states.size();
  std::vector<std::vector<size_t>> into(count);
  std::vector<bool> alive(count, false);
  std::vector<size_t> work;
  for (size_t s = 0; s < count; ++s) {
    for (const CharDfa::Edge& edge : dfa.states[s].edges) into[Index(edge.to)].push_back(s);
    if (!dfa.states[s].accepting) continue;
    alive[s] = true;
    work.push_back(s);
  }
  while (!work.empty()) {
    const size_t s = work.back();
    work.pop_back();
    for (const size_t from : into[s]) {
      if (alive[from]) continue;
      alive[from] = true;
      work.push_back(from);
    }
  }
  if (count == 0 || !alive[0]) return {};
  std::vector<int32_t> number(count, -1);
  int32_t next = 0;
  for (size_t s = 0; s < count; ++s) {
    if (alive[s]) number[s] = next++;
  }
  CharDfa out;
  for (size_t s = 0; s < count; ++s) {
    if (!alive[s]) continue;
    CharDfa::State& state = out.states.emplace_back();
    state.accepting = dfa.states[s].accepting;
    for (const CharDfa::Edge& edge : dfa.states[s].edges) {
      const int32_t to = number[Index(edge.to)];
      if (to < 0) continue;
      if (!state.edges.empty() && state.edges.back().to == to &&
          state.edges.back().chars.last + 1 == edge.chars.first) {
        state.edges.back().chars.last = edge.chars.last;
      } else {
        state.edges.push_back({edge.chars, to});
      }
    }
  }
  return out;
}

constexpr int32_t kDead = -1;

// Calls visit(range, target in a or kDead, target in b or kDead) for every stretch of characters
// that at least one of the two states goes on with.
void VisitBoth(const CharDfa::State* a, const CharDfa::State* b,
               const std::function<void(CharRange, int32_t, int32_t)>& visit) {
  static const std::vector<CharDfa::Edge> kNone;
  const auto& left = a != nullptr ? a->edges : kNone;
  const auto& right = b != nullptr ? b->edges : kNone;
  size_t i = 0, j = 0;
  char32_t at = 0;
  while (i < left.size() || j < right.size()) {
    const CharDfa::Edge* x = i < left.size() ? &left[i] : nullptr;
    const CharDfa::Edge* y = j < right.size() ? &right[j] : nullptr;
    const char32_t x_first = x != nullptr ? std::max(at, x->chars.first) : char32_t{kLastChar + 1};
    const char32_t y_first = y != nullptr ? std::max(at, y->chars.first) : char32_t{kLastChar + 1};
    const char32_t first = std::min(x_first, y_first);
    char32_t last = kLastChar;
    if (x != nullptr)
      last = std::min<char32_t>(last, x_first > first ? x_first - 1 : x->chars.last);
    if (y != nullptr)
      last = std::min<char32_t>(last, y_first > first ? y_first - 1 : y->chars.last);
    visit({first, last}, x_first == first ? x->to : kDead, y_first == first ? y->to : kDead);
    at = last + 1;
    if (x != nullptr && x->chars.last < at) ++i;
    if (y != nullptr && y->chars.last < at) ++j;
  }
}

Result<CharDfa> Product(const CharDfa& a, const CharDfa& b,
                        const std::function<bool(bool, bool)>& accepting, Effort* effort) {
  CharDfa out;
  std::map<std::pair<int32_t, int32_t>, int32_t> number;
  std::vector<std::pair<int32_t, int32_t>> order;
  size_t edges = 0;
  const auto use = [&](int32_t x, int32_t y) {
    const auto [it, is_new] = number.try_emplace({x, y}, static_cast<int32_t>(order.size()));
    if (is_new) order.emplace_back(x, y);
    return it->second;
  };
  use(a.empty() ? kDead : 0, b.empty() ? kDead : 0);
  for (size_t s = 0; s < order.size(); ++s) {
    if (order.size() > CharDfa::kMaxStates || edges > CharDfa::kMaxEdges) return TooLarge();
    const auto [x, y] = order[s];
    const CharDfa::State* left = x == kDead ? nullptr : &a.states[Index(x)];
    const CharDfa::State* right = y == kDead ? nullptr : &b.states[Index(y)];
    CharDfa::State state;
    state.accepting =
        accepting(left != nullptr && left->accepting, right != nullptr && right->accepting);
    VisitBoth(left, right, [&](CharRange range, int32_t to_left, int32_t to_right) {
      // Whatever can never be accepted again need not be followed.
      if (!accepting(to_left != kDead, to_right != kDead) && !accepting(to_left != kDead, false)) {
        return;
      }
      state.edges.push_back({range, use(to_left, to_right)});
      ++edges;
    });
    out.states.push_back(std::move(state));
  }
  PUNA_RETURN_IF_ERROR(effort->Spend(static_cast<int64_t>(2 * (order.size() + edges))));
  return Trimmed(std::move(out));
}

}  // namespace

CharDfa CharDfa::Anything() {
  CharDfa dfa;
  dfa.states.push_back({{{{0, kLastChar}, 0}}, true});
  return dfa;
}

Result<CharDfa> CharDfa::OfLength(int64_t min, int64_t max, Effort* effort) {
  const int64_t last = max < 0 ? min : max;
  if (last > kMaxLength || min > kMaxLength) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a length of {} characters is too large, the limit is {}", std::max(min, last),
                     kMaxLength);
  }
  CharDfa dfa;
  if (max >= 0 && min > max) return dfa;
  PUNA_RETURN_IF_ERROR(effort->Spend(2 * last));
  dfa.states.resize(static_cast<size_t>(last) + 1);
  for (int64_t n = 0; n <= last; ++n) {
    State& state = dfa.states[static_cast<size_t>(n)];
    state.accepting = n >= min;
    if (n < last) state.edges.push_back({{0, kLastChar}, static_cast<int32_t>(n + 1)});
    if (n == last && max < 0) state.edges.push_back({{0, kLastChar}, static_cast<int32_t>(n)});
  }
  return dfa;
}

Result<CharDfa> CharDfa::OfTextsWith(std::string_view utf8, Effort* effort) {
  CharNfa nfa;
  nfa.start = nfa.AddState();
  nfa.states[0].edges.push_back({CharSet::All(), 0});
  int32_t at = nfa.start;
  while (!utf8.empty()) {
    const DecodedCodepoint c = DecodeUtf8(utf8);
    utf8.remove_prefix(c.length_bytes);
    const int32_t next = nfa.AddState();
    nfa.states[Index(at)].edges.push_back({CharSet({{c.codepoint, c.codepoint}}), next});
    at = next;
  }
  nfa.accept = at;
  nfa.open_end = true;
  return Determinize(nfa, effort);
}

int64_t CharDfa::size() const {
  auto size = static_cast<int64_t>(states.size());
  for (const State& state : states) size += static_cast<int64_t>(state.edges.size());
  return size;
}

bool CharDfa::Accepts(std::string_view utf8) const {
  if (empty()) return false;
  size_t at = 0;
  while (!utf8.empty()) {
    const DecodedCodepoint c = DecodeUtf8(utf8);
    utf8.remove_prefix(c.length_bytes);
    const auto& edges = states[at].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const Edge& e) {
      return e.chars.first <= c.codepoint && c.codepoint <= e.chars.last;
    });
    if (edge == edges.end()) return false;
    at = Index(edge->to);
  }
  return states[at].accepting;
}

bool CharDfa::accepts_anything() const {
  return !empty() && std::all_of(states.begin(), states.end(), [](const State& state) {
    if (!state.accepting) return false;
    std::vector<CharRange> ranges;
    for (const Edge& edge : state.edges) ranges.push_back(edge.chars);
    return CharSet(std::move(ranges)).Covers(CharSet::All());
  });
}

Result<CharDfa> Intersect(const CharDfa& a, const CharDfa& b, Effort* effort) {
  PUNA_RETURN_IF_ERROR(effort->Spend(a.size() + b.size()));
  if (a.accepts_anything()) return b;
  if (b.accepts_anything()) return a;
  return Product(
      a, b, [](bool x, bool y) { return x && y; }, effort);
}

Result<CharDfa> Unite(const CharDfa& a, const CharDfa& b, Effort* effort) {
  return Product(
      a, b, [](bool x, bool y) { return x || y; }, effort);
}

Result<CharDfa> Subtract(const CharDfa& a, const CharDfa& b, Effort* effort) {
  return Product(
      a, b, [](bool x, bool y) { return x && !y; }, effort);
}

int32_t CharNfa::AddState() {
  states.emplace_back();
  return static_cast<int32_t>(states.size()) - 1;
}

Result<CharDfa> Determinize(const CharNfa& nfa, Effort* effort) {
  constexpr size_t kMaxWork = 40'000'000;
  using Subset = std::vector<int32_t>;
  std::map<Subset, int32_t> number;
  std::vector<Subset> order;
  std::vector<uint32_t> mark(nfa.states.size(), 0);
  uint32_t round = 0;
  size_t edges = 0, work = 0;
  enum class Where { kStart, kInside, kEnd, kEmpty };  // kEmpty: start and end at once
  const auto closed = [&](Subset subset, Where where) {
    ++round;
    Subset all;
    while (!subset.empty()) {
      const int32_t s = subset.back();
      subset.pop_back();
      if (mark[Index(s)] == round) continue;
      mark[Index(s)] = round;
      all.push_back(s);
      const CharNfa::State& state = nfa.states[Index(s)];
      const auto follow = [&](const std::vector<int32_t>& to) {
        subset.insert(subset.end(), to.begin(), to.end());
      };
      follow(state.epsilons);
      if (where == Where::kStart || where == Where::kEmpty) follow(state.at_start);
      if (where == Where::kEnd || where == Where::kEmpty) follow(state.at_end);
    }
    work += all.size();
    std::sort(all.begin(), all.end());
    const bool open = nfa.open_end && where != Where::kEnd && where != Where::kEmpty;
    if (open && std::binary_search(all.begin(), all.end(), nfa.accept)) all = {nfa.accept};
    return all;
  };
  const auto use = [&](Subset subset) {
    const auto [it, is_new] =
        number.try_emplace(std::move(subset), static_cast<int32_t>(order.size()));
    if (is_new) order.push_back(it->first);
    return it->second;
  };
  use(closed({nfa.start}, Where::kStart));
  CharDfa out;
  for (size_t i = 0; i < order.size(); ++i) {
    // The work limit bounds time: a subset may have as many members as the pattern has characters.
    if (order.size() > CharDfa::kMaxStates || edges > CharDfa::kMaxEdges || work > kMaxWork)
      return TooLarge();
    const Subset subset = order[i];
    CharDfa::State state;
    const bool is_start = i == 0;
    const Subset at_end = closed(subset, is_start ? Where::kEmpty : Where::kEnd);
    state.accepting = std::binary_search(at_end.begin(), at_end.end(), nfa.accept);
    if (nfa.open_end && subset == Subset{nfa.accept}) {
      state.edges.push_back({{0, kLastChar}, static_cast<int32_t>(i)});
      out.states.push_back(std::move(state));
      continue;
    }
    // Cut the characters where any edge begins or ends.
    std::vector<char32_t> cuts;
    size_t edges_here = 0;
    for (const int32_t s : subset) {
      edges_here += nfa.states[Index(s)].edges.size();
      for (const CharNfa::Edge& edge : nfa.states[Index(s)].edges) {
        for (const CharRange& range : edge.chars.ranges()) {
          cuts.push_back(range.first);
          cuts.push_back(range.last + 1);
        }
      }
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    work += cuts.size() * (subset.size() + edges_here);
    for (size_t c = 0; c + 1 < cuts.size(); ++c) {
      if (work > kMaxWork) return TooLarge();
      Subset targets;
      for (const int32_t s : subset) {
        for (const CharNfa::Edge& edge : nfa.states[Index(s)].edges) {
          if (edge.chars.Contains(cuts[c])) targets.push_back(edge.to);
        }
      }
      if (targets.empty()) continue;
      state.edges.push_back(
          {{cuts[c], cuts[c + 1] - 1}, use(closed(std::move(targets), Where::kInside))});
      ++edges;
    }
    out.states.push_back(std::move(state));
  }
  PUNA_RETURN_IF_ERROR(effort->Spend(static_cast<int64_t>(3 * (order.size() + edges) + work / 8)));
  return Trimmed(std::move(out));
}

}  // namespace puna::grammar
