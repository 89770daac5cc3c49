// Deterministic automata over characters: what patterns, formats and length limits of strings
// become, because these must be intersected and complemented. Everything is bounded by kMaxStates.
#ifndef PUNA_GRAMMAR_CHAR_DFA_H_
#define PUNA_GRAMMAR_CHAR_DFA_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/char_set.h"
#include "grammar/effort.h"

namespace puna::grammar {

struct CharDfa {
  static constexpr size_t kMaxStates = 50'000;
  static constexpr size_t kMaxEdges = 500'000;
  // Length limits need one state a character and nothing else.
  static constexpr int64_t kMaxLength = 100'000;

  struct Edge {
    CharRange chars;
    int32_t to;
  };
  struct State {
    std::vector<Edge> edges;  // sorted, disjoint; what is in none is rejected
    bool accepting = false;
  };
  std::vector<State> states;  // [0] is the start; empty: nothing is accepted

  static CharDfa Anything();
  // min to max characters; max < 0: no upper limit. kInvalidArgument beyond kMaxLength, or if
  // `effort` is at its end.
  static Result<CharDfa> OfLength(int64_t min, int64_t max, Effort* effort);
  // All texts that `utf8`, which is not empty, occurs in.
  static Result<CharDfa> OfTextsWith(std::string_view utf8, Effort* effort);

  bool empty() const { return states.empty(); }
  int64_t size() const;  // states and edges
  bool Accepts(std::string_view utf8) const;
  bool accepts_anything() const;
};

// kInvalidArgument if the result has more than kMaxStates states, or `effort` is at its end.
Result<CharDfa> Intersect(const CharDfa& a, const CharDfa& b, Effort* effort);
Result<CharDfa> Unite(const CharDfa& a, const CharDfa& b, Effort* effort);
// What is in `a` and not in `b`.
Result<CharDfa> Subtract(const CharDfa& a, const CharDfa& b, Effort* effort);

// Nondeterministic automata over characters, the way from a pattern to a CharDfa.
struct CharNfa {
  struct Edge {
    CharSet chars;
    int32_t to;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<int32_t> epsilons;
    std::vector<int32_t> at_start;  // passable only before the first character
    std::vector<int32_t> at_end;    // passable only behind the last character
  };
  std::vector<State> states;
  int32_t start = 0, accept = 0;
  bool open_end = false;  // any text may follow once `accept` is reached

  int32_t AddState();
};

// The subset construction. kInvalidArgument beyond kMaxStates, or if `effort` is at its end.
Result<CharDfa> Determinize(const CharNfa& nfa, Effort* effort);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_CHAR_DFA_H_
