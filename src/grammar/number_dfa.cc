// A text is compared with the bound digit by digit while it is read: as long as all digits are
// equal the comparison is open, and a whole part that turns out longer or shorter decides it.
#include "grammar/number_dfa.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "grammar/automaton.h"

namespace puna::grammar {
namespace {

// States by a key of three numbers, made when first asked for.
class DfaBuilder {
 public:
  using Key = std::tuple<int, int, int>;
  int32_t StateOf(Key key) {
    const auto [it, is_new] = known_.try_emplace(key, static_cast<int32_t>(order_.size()));
    if (is_new) {
      order_.push_back(key);
      dfa_.states.emplace_back();
    }
    return it->second;
  }
  const std::vector<Key>& order() const { return order_; }
  void AddEdge(size_t from, char32_t c, Key to) {
    const int32_t target = StateOf(to);
    dfa_.states[from].edges.push_back({{c, c}, target});
  }
  void Accept(size_t state) { dfa_.states[state].accepting = true; }
  CharDfa Take() {
    for (CharDfa::State& state : dfa_.states) {
      std::sort(state.edges.begin(), state.edges.end(),
                [](const auto& a, const auto& b) { return a.chars < b.chars; });
    }
    return std::move(dfa_);
  }

 private:
  std::map<Key, int32_t> known_;
  std::vector<Key> order_;
  CharDfa dfa_;
};

// A comparison's result as an index: less, equal, greater.
constexpr int kLess = 0, kEqual = 1, kGreater = 2;
using Outcomes = std::array<bool, 3>;

int Compare(int a, int b) { return a < b ? kLess : a > b ? kGreater : kEqual; }

enum Phase { kStart, kZero, kWhole, kLonger, kPoint, kDecided, kFraction };

// Numbers without sign whose comparison with `bound` comes out as one of `accepted`.
CharDfa Magnitudes(const Decimal& bound, const Outcomes& accepted) {
  const std::string whole = bound.Whole(), fraction = bound.Fraction();
  const int n = static_cast<int>(whole.size()), m = static_cast<int>(fraction.size());
  DfaBuilder out;
  out.StateOf({kStart, 0, 0});
  // What the text so far compares as if it ends here; and behind a point.
  const auto at_whole_end = [&](int digits, int status) {
    if (digits < n) return kLess;
    return status == kEqual && m > 0 ? kLess : status;
  };
  const auto at_point = [&](int digits, int status) { return digits < n ? kLess : status; };
  const auto fraction_key = [&](int status, int at) {
    return status == kEqual ? DfaBuilder::Key{kFraction, at, 0}
                            : DfaBuilder::Key{kDecided, status, 0};
  };
  for (size_t s = 0; s < out.order().size(); ++s) {
    const auto [phase, a, b] = out.order()[s];
    for (int digit = 0; digit <= 9; ++digit) {
      const auto c = static_cast<char32_t>('0' + digit);
      switch (phase) {
        case kStart:
          out.AddEdge(s, c, {digit == 0 ? kZero : kWhole, 1, Compare(digit, whole[0] - '0')});
          break;
        case kWhole:
          if (a == n) {
            out.AddEdge(s, c, {kLonger, 0, 0});
          } else {
            out.AddEdge(s, c,
                        {kWhole, a + 1, b == kEqual ? Compare(digit, whole[Index(a)] - '0') : b});
          }
          break;
        case kLonger:
          out.AddEdge(s, c, {kLonger, 0, 0});
          break;
        case kPoint:  // a: the comparison so far
        case kFraction: {
          const int at = phase == kPoint ? 0 : a;
          if (phase == kPoint && a != kEqual) {
            out.AddEdge(s, c, {kDecided, a, 0});
          } else if (at == m) {
            out.AddEdge(s, c, fraction_key(digit == 0 ? kEqual : kGreater, m));
          } else {
            out.AddEdge(s, c, fraction_key(Compare(digit, fraction[Index(at)] - '0'), at + 1));
          }
          break;
        }
        case kDecided:
          out.AddEdge(s, c, {kDecided, a, 0});
          break;
        default:  // nothing follows a leading zero but a point
          break;
      }
    }
    switch (phase) {
      case kZero:
      case kWhole:
        if (accepted[Index(at_whole_end(a, b))]) out.Accept(s);
        out.AddEdge(s, '.', {kPoint, at_point(a, b), 0});
        break;
      case kLonger:
        if (accepted[kGreater]) out.Accept(s);
        out.AddEdge(s, '.', {kPoint, kGreater, 0});
        break;
      case kDecided:
        if (accepted[Index(a)]) out.Accept(s);
        break;
      case kFraction:
        if (accepted[a < m ? kLess : kEqual]) out.Accept(s);
        break;
      default:
        break;
    }
  }
  return out.Take();
}

// Either of the two, the second behind a minus sign.
CharDfa WithSign(CharDfa positive, const CharDfa& negative) {
  const auto offset = static_cast<int32_t>(positive.states.size());
  for (CharDfa::State state : negative.states) {
    for (CharDfa::Edge& edge : state.edges) edge.to += offset;
    positive.states.push_back(std::move(state));
  }
  auto& edges = positive.states[0].edges;
  edges.insert(edges.begin(), {{'-', '-'}, offset});
  return positive;
}

Outcomes OutcomesOf(Comparison comparison) {
  switch (comparison) {
    case Comparison::kAtLeast:
      return {false, true, true};
    case Comparison::kAbove:
      return {false, false, true};
    case Comparison::kAtMost:
      return {true, true, false};
    case Comparison::kBelow:
      return {true, false, false};
    case Comparison::kEqual:
      return {false, true, false};
  }
  return {};
}

}  // namespace

CharDfa NumbersThat(Comparison comparison, const Decimal& bound) {
  const Outcomes wanted = OutcomesOf(comparison);
  const Decimal zero;
  if (!bound.negative) {
    // A negative number is less than the bound; minus zero is zero.
    const Outcomes below = {false, wanted[bound.is_zero() ? kEqual : kLess], wanted[kLess]};
    return WithSign(Magnitudes(bound, wanted), Magnitudes(zero, below));
  }
  Decimal magnitude = bound;
  magnitude.negative = false;
  const Outcomes above = {wanted[kGreater], wanted[kGreater], wanted[kGreater]};
  return WithSign(Magnitudes(zero, above),
                  Magnitudes(magnitude, {wanted[kGreater], wanted[kEqual], wanted[kLess]}));
}

Result<CharDfa> MultiplesOf(const Decimal& divisor) {
  if (divisor.is_zero() || divisor.negative)
    return MakeError(ErrorCode::kInvalidArgument, "multipleOf is {}, it must be more than 0",
                     divisor.Text());
  constexpr int64_t kMaxStates = 20'000;
  const int decimals = static_cast<int>(divisor.Fraction().size());
  std::string scaled_text = divisor.Whole() + divisor.Fraction();
  scaled_text.erase(0, std::min(scaled_text.find_first_not_of('0'), scaled_text.size() - 1));
  if (scaled_text.size() > 6 || std::stoll(scaled_text) * (decimals + 2) > kMaxStates) {
    return MakeError(ErrorCode::kUnsupported,
                     "multipleOf {} is not supported: it has too many digits", divisor.Text());
  }
  const int modulus = std::stoi(scaled_text);
  // Key: phase, remainder, digits behind the point. The remainder is that of the digits read so
  // far.
  DfaBuilder out;
  out.StateOf({kStart, 0, 0});
  const auto divides = [&](int remainder, int read) {
    for (int i = read; i < decimals; ++i) remainder = remainder * 10 % modulus;
    return remainder == 0;
  };
  for (size_t s = 0; s < out.order().size(); ++s) {
    const auto [phase, remainder, read] = out.order()[s];
    for (int digit = 0; digit <= 9; ++digit) {
      const auto c = static_cast<char32_t>('0' + digit);
      const int next = (remainder * 10 + digit) % modulus;
      if (phase == kStart || phase == kWhole) {
        out.AddEdge(s, c, {kWhole, next, 0});
      } else if (read < decimals) {
        out.AddEdge(s, c, {kFraction, next, read + 1});
      } else if (digit == 0) {
        out.AddEdge(s, c, {kFraction, remainder, read});
      }
    }
    if (phase == kWhole) out.AddEdge(s, '.', {kPoint, remainder, 0});
    if (phase != kStart && phase != kPoint && divides(remainder, read)) out.Accept(s);
  }
  CharDfa dfa = out.Take();
  return WithSign(dfa, dfa);
}

}  // namespace puna::grammar
