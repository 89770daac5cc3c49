// Trimming runs backwards from the ends of the rules: a state is productive if its rule's end can
// be reached from it, through calls of productive rules only. Left recursion is found among the
// states that are reached without consuming a byte; without it, every closure ends.
#include "grammar/automaton.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace puna::grammar {
namespace {

// Lists of things by state, built in two passes.
class ByState {
 public:
  explicit ByState(size_t num_states) : begin_(num_states + 1, 0) {}
  void Count(StateId state) { ++begin_[Index(state) + 1]; }
  void StartFilling() {
    for (size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
    items_.resize(begin_.back());
    next_ = begin_;
  }
  void Add(StateId state, size_t item) { items_[next_[Index(state)]++] = item; }
  std::span<const size_t> Of(StateId state) const {
    return std::span(items_).subspan(begin_[Index(state)],
                                     begin_[Index(state) + 1] - begin_[Index(state)]);
  }

 private:
  std::vector<size_t> begin_, next_, items_;
};

}  // namespace

StateId AutomatonBuilder::AddState() {
  ++size_;
  return num_states_++;
}

void AutomatonBuilder::AddBytes(StateId from, uint8_t first, uint8_t last, StateId to) {
  ++size_;
  bytes_.push_back({from, {first, last, to}});
}

void AutomatonBuilder::AddCall(StateId from, RuleId rule, StateId then) {
  ++size_;
  calls_.push_back({from, rule, then});
}

void AutomatonBuilder::AddEpsilon(StateId from, StateId to) {
  ++size_;
  if (from != to) epsilons_.push_back({from, to});
}

void AutomatonBuilder::SetRun(StateId state, const TextRun& run) { runs_.emplace_back(state, run); }

RuleId AutomatonBuilder::AddRule(std::string name) {
  rules_.push_back({std::move(name)});
  return static_cast<RuleId>(rules_.size()) - 1;
}

void AutomatonBuilder::SetRule(RuleId rule, StateId start, StateId end) {
  rules_[Index(rule)].start = start;
  rules_[Index(rule)].end = end;
}

// The states from which the end of their rule is reached; where not `with_bytes`, without a byte. A
// worklist over edges turned around. A call waits for two things: its rule and where it goes on.
std::vector<bool> AutomatonBuilder::StatesThatEnd(bool with_bytes) const {
  const size_t states = Index(num_states_);
  ByState into(states);  // predecessors by byte or epsilon edge; calls that go on at a state
  ByState rules_starting(states), calls_then(states);
  if (with_bytes) {
    for (const FromBytes& b : bytes_) into.Count(b.edge.to);
  }
  for (const FromEpsilon& e : epsilons_) into.Count(e.to);
  for (const Rule& rule : rules_) rules_starting.Count(rule.start);
  for (const FromCall& call : calls_) calls_then.Count(call.then);
  into.StartFilling();
  rules_starting.StartFilling();
  calls_then.StartFilling();
  if (with_bytes) {
    for (const FromBytes& b : bytes_) into.Add(b.edge.to, Index(b.from));
  }
  for (const FromEpsilon& e : epsilons_) into.Add(e.to, Index(e.from));
  std::vector<std::vector<size_t>> calls_of(rules_.size());
  for (size_t i = 0; i < rules_.size(); ++i) rules_starting.Add(rules_[i].start, i);
  for (size_t i = 0; i < calls_.size(); ++i) {
    calls_then.Add(calls_[i].then, i);
    calls_of[Index(calls_[i].rule)].push_back(i);
  }
  std::vector<bool> ends(states, false);
  std::vector<StateId> work;
  const auto mark = [&](StateId state) {
    if (ends[Index(state)]) return;
    ends[Index(state)] = true;
    work.push_back(state);
  };
  const auto usable = [&](const FromCall& call) {
    return ends[Index(call.then)] && ends[Index(rules_[Index(call.rule)].start)];
  };
  for (const Rule& rule : rules_) mark(rule.end);
  while (!work.empty()) {
    const StateId state = work.back();
    work.pop_back();
    for (const size_t from : into.Of(state)) mark(static_cast<StateId>(from));
    for (const size_t call : calls_then.Of(state)) {
      if (usable(calls_[call])) mark(calls_[call].from);
    }
    for (const size_t rule : rules_starting.Of(state)) {
      for (const size_t call : calls_of[rule]) {
        if (usable(calls_[call])) mark(calls_[call].from);
      }
    }
  }
  return ends;
}

void AutomatonBuilder::DropUnproductive() {
  productive_ = StatesThatEnd(/*with_bytes=*/true);
  const auto dead = [&](StateId state) { return !productive_[Index(state)]; };
  std::erase_if(bytes_, [&](const FromBytes& b) { return dead(b.from) || dead(b.edge.to); });
  std::erase_if(epsilons_, [&](const FromEpsilon& e) { return dead(e.from) || dead(e.to); });
  std::erase_if(calls_, [&](const FromCall& call) {
    return dead(call.from) || dead(call.then) || dead(rules_[Index(call.rule)].start);
  });
}

Status AutomatonBuilder::CheckLeftRecursion() const {
  const std::vector<bool> nullable = StatesThatEnd(/*with_bytes=*/false);
  const size_t states = Index(num_states_);
  ByState epsilons_of(states), calls_of(states);
  for (const FromEpsilon& e : epsilons_) epsilons_of.Count(e.from);
  for (const FromCall& call : calls_) calls_of.Count(call.from);
  epsilons_of.StartFilling();
  calls_of.StartFilling();
  for (size_t i = 0; i < epsilons_.size(); ++i) epsilons_of.Add(epsilons_[i].from, i);
  for (size_t i = 0; i < calls_.size(); ++i) calls_of.Add(calls_[i].from, i);

  // Which rules a rule calls at its very beginning.
  std::vector<std::vector<RuleId>> first_calls(rules_.size());
  std::vector<int32_t> seen_by(states, -1);
  for (size_t rule = 0; rule < rules_.size(); ++rule) {
    std::vector<StateId> work;
    const auto visit = [&](StateId state) {
      if (seen_by[Index(state)] == static_cast<int32_t>(rule)) return;
      seen_by[Index(state)] = static_cast<int32_t>(rule);
      work.push_back(state);
    };
    visit(rules_[rule].start);
    while (!work.empty()) {
      const StateId state = work.back();
      work.pop_back();
      for (const size_t e : epsilons_of.Of(state)) visit(epsilons_[e].to);
      for (const size_t c : calls_of.Of(state)) {
        first_calls[rule].push_back(calls_[c].rule);
        if (nullable[Index(rules_[Index(calls_[c].rule)].start)]) visit(calls_[c].then);
      }
    }
  }
  // A cycle among them, by depth-first search with an explicit stack.
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> color(rules_.size(), kNew);
  for (size_t root = 0; root < rules_.size(); ++root) {
    if (color[root] != kNew) continue;
    std::vector<std::pair<size_t, size_t>> path = {{root, 0}};
    color[root] = kOpen;
    while (!path.empty()) {
      auto& [rule, next] = path.back();
      if (next == first_calls[rule].size()) {
        color[rule] = kDone;
        path.pop_back();
        continue;
      }
      const size_t callee = Index(first_calls[rule][next++]);
      if (color[callee] == kOpen) {
        return MakeError(
            ErrorCode::kInvalidArgument,
            "rule \"{}\" refers to itself before it consumes anything (left recursion)",
            rules_[callee].name);
      }
      if (color[callee] == kNew) {
        color[callee] = kOpen;
        path.emplace_back(callee, 0);
      }
    }
  }
  return {};
}

// States that are dead or that nothing leads to are renumbered away.
Automaton AutomatonBuilder::Flatten(RuleId root) const {
  const size_t states = Index(num_states_);
  ByState bytes_of(states), calls_of(states), epsilons_of(states);
  for (const FromBytes& b : bytes_) bytes_of.Count(b.from);
  for (const FromCall& call : calls_) calls_of.Count(call.from);
  for (const FromEpsilon& e : epsilons_) epsilons_of.Count(e.from);
  bytes_of.StartFilling();
  calls_of.StartFilling();
  epsilons_of.StartFilling();
  for (size_t i = 0; i < bytes_.size(); ++i) bytes_of.Add(bytes_[i].from, i);
  for (size_t i = 0; i < calls_.size(); ++i) calls_of.Add(calls_[i].from, i);
  for (size_t i = 0; i < epsilons_.size(); ++i) epsilons_of.Add(epsilons_[i].from, i);

  std::vector<StateId> number(states, -1), order;
  const auto use = [&](StateId state) {
    if (number[Index(state)] >= 0) return;
    number[Index(state)] = static_cast<StateId>(order.size());
    order.push_back(state);
  };
  use(rules_[Index(root)].start);
  for (size_t i = 0; i < order.size(); ++i) {
    for (const size_t b : bytes_of.Of(order[i])) use(bytes_[b].edge.to);
    for (const size_t e : epsilons_of.Of(order[i])) use(epsilons_[e].to);
    for (const size_t c : calls_of.Of(order[i])) {
      use(rules_[Index(calls_[c].rule)].start);
      use(calls_[c].then);
    }
  }
  std::vector<bool> final(states, false);
  for (const Rule& rule : rules_) final[Index(rule.end)] = true;
  std::vector<int32_t> run_of(states, -1);
  Automaton out;
  for (const auto& [state, run] : runs_) {
    if (number[Index(state)] < 0) continue;
    run_of[Index(state)] = static_cast<int32_t>(out.runs_.size());
    out.runs_.push_back(run);
  }
  for (const StateId old : order) {
    Automaton::State state{};
    state.final = final[Index(old)];
    state.run = run_of[Index(old)];
    state.bytes_begin = static_cast<int32_t>(out.bytes_.size());
    for (const size_t b : bytes_of.Of(old)) {
      const Automaton::ByteEdge& edge = bytes_[b].edge;
      out.bytes_.push_back({edge.first, edge.last, number[Index(edge.to)]});
    }
    state.bytes_end = static_cast<int32_t>(out.bytes_.size());
    state.calls_begin = static_cast<int32_t>(out.calls_.size());
    for (const size_t c : calls_of.Of(old)) {
      out.calls_.push_back(
          {number[Index(rules_[Index(calls_[c].rule)].start)], number[Index(calls_[c].then)]});
    }
    state.calls_end = static_cast<int32_t>(out.calls_.size());
    state.epsilons_begin = static_cast<int32_t>(out.epsilons_.size());
    for (const size_t e : epsilons_of.Of(old))
      out.epsilons_.push_back(number[Index(epsilons_[e].to)]);
    state.epsilons_end = static_cast<int32_t>(out.epsilons_.size());
    out.states_.push_back(state);
  }
  out.start_ = 0;
  return out;
}

Result<Automaton> AutomatonBuilder::Build(RuleId root) {
  if (too_large()) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "the grammar is too large: more than {} states and edges (repetitions are written "
        "out)",
        kMaxSize);
  }
  for (const Rule& rule : rules_) CHECK(rule.start >= 0 && rule.end >= 0) << rule.name;
  DropUnproductive();
  if (!productive_[Index(rules_[Index(root)].start)]) return Automaton();
  PUNA_RETURN_IF_ERROR(CheckLeftRecursion());
  return Flatten(root);
}

}  // namespace puna::grammar
