// What every grammar becomes: a pushdown automaton over bytes. A rule is a small nondeterministic
// automaton; a call edge enters another rule and goes on at `then` when that rule is done.
//
// The automaton is immutable and thread safe, and trimmed: from every state the text can still be
// completed, so "some bytes may follow" and "a valid text may follow" are the same question. No
// rule reaches itself without consuming a byte, so the closure of a configuration is finite.
#ifndef PUNA_GRAMMAR_AUTOMATON_H_
#define PUNA_GRAMMAR_AUTOMATON_H_

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace puna::grammar {

using StateId = int32_t;
using RuleId = int32_t;

// An id that is not -1, as an index.
inline size_t Index(int32_t id) { return static_cast<size_t>(id); }

// What is known of a state that reads the characters of a string or of free text: the shortcut that
// keeps most of a vocabulary out of the walk (see mask_cache.h).
struct TextRun {
  static constexpr int32_t kUnlimited = std::numeric_limits<int32_t>::max();
  int32_t chars = 0;   // that many plain characters are accepted here, whatever they are
  bool exact = false;  // and one more never is
  // States with the same zone behave alike for the next `zone_chars` characters; -1: no zone.
  int32_t zone = -1;
  int32_t zone_chars = 0;
};

class Automaton {
 public:
  struct ByteEdge {
    uint8_t first, last;  // inclusive
    StateId to;
  };
  struct CallEdge {
    StateId callee;  // where the called rule starts
    StateId then;
  };
  struct State {
    int32_t bytes_begin, bytes_end;
    int32_t calls_begin, calls_end;
    int32_t epsilons_begin, epsilons_end;
    int32_t run = -1;  // index of a TextRun
    bool final = false;
    bool only_final() const {
      return final && bytes_begin == bytes_end && calls_begin == calls_end &&
             epsilons_begin == epsilons_end;
    }
  };

  // False if no text at all satisfies the grammar.
  bool satisfiable() const { return start_ >= 0; }
  StateId start() const { return start_; }
  int64_t num_states() const { return static_cast<int64_t>(states_.size()); }
  const State& state(StateId id) const { return states_[static_cast<size_t>(id)]; }
  std::span<const ByteEdge> bytes(const State& s) const {
    return Slice(bytes_, s.bytes_begin, s.bytes_end);
  }
  std::span<const CallEdge> calls(const State& s) const {
    return Slice(calls_, s.calls_begin, s.calls_end);
  }
  std::span<const StateId> epsilons(const State& s) const {
    return Slice(epsilons_, s.epsilons_begin, s.epsilons_end);
  }
  const TextRun* run(StateId id) const {
    const int32_t index = state(id).run;
    return index < 0 ? nullptr : &runs_[static_cast<size_t>(index)];
  }

 private:
  friend class AutomatonBuilder;
  template <typename T>
  static std::span<const T> Slice(const std::vector<T>& all, int32_t begin, int32_t end) {
    return std::span(all).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  }
  std::vector<State> states_;
  std::vector<ByteEdge> bytes_;
  std::vector<CallEdge> calls_;
  std::vector<StateId> epsilons_;
  std::vector<TextRun> runs_;
  StateId start_ = -1;
};

// Collects states and edges; Build trims and checks them.
class AutomatonBuilder {
 public:
  // Each state and edge costs memory and time: so many are allowed together.
  static constexpr int64_t kMaxSize = 1'000'000;

  StateId AddState();
  void AddBytes(StateId from, uint8_t first, uint8_t last, StateId to);
  void AddCall(StateId from, RuleId rule, StateId then);
  void AddEpsilon(StateId from, StateId to);
  void SetRun(StateId state, const TextRun& run);
  int32_t NewZone() { return num_zones_++; }

  // A rule begins at one state and ends at another. `name` is for messages.
  RuleId AddRule(std::string name);
  void SetRule(RuleId rule, StateId start, StateId end);

  bool too_large() const { return size_ > kMaxSize; }

  // kInvalidArgument: a rule calls itself before it consumes anything, or the limit is exceeded.
  // REQUIRES: every rule is set.
  Result<Automaton> Build(RuleId root);

 private:
  struct FromBytes {
    StateId from;
    Automaton::ByteEdge edge;
  };
  struct FromCall {
    StateId from;
    RuleId rule;
    StateId then;
  };
  struct FromEpsilon {
    StateId from, to;
  };
  struct Rule {
    std::string name;
    StateId start = -1, end = -1;
  };
  void DropUnproductive();
  std::vector<bool> StatesThatEnd(bool with_bytes) const;
  Status CheckLeftRecursion() const;
  Automaton Flatten(RuleId root) const;

  StateId num_states_ = 0;
  int64_t size_ = 0;
  int32_t num_zones_ = 0;
  std::vector<FromBytes> bytes_;
  std::vector<FromCall> calls_;
  std::vector<FromEpsilon> epsilons_;
  std::vector<std::pair<StateId, TextRun>> runs_;
  std::vector<Rule> rules_;
  std::vector<bool> productive_;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_AUTOMATON_H_
