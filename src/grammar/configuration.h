// Where a text stands in a grammar: a set of configurations, each a state and a stack of states to
// go on at. Stacks are linked frames that are made once each, so that they compare by number.
// Internal to grammar. Not thread safe.
#ifndef PUNA_GRAMMAR_CONFIGURATION_H_
#define PUNA_GRAMMAR_CONFIGURATION_H_

#include <compare>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "grammar/automaton.h"

namespace puna::grammar {

using FrameId = int32_t;
inline constexpr FrameId kBottom = 0;  // the empty stack, or one whose lower part is not known

struct Config {
  StateId state;
  FrameId frame;
  auto operator<=>(const Config&) const = default;
};

class Frames {
 public:
  Frames() { Clear(); }
  FrameId Push(StateId then, FrameId below);
  StateId then(FrameId frame) const { return frames_[static_cast<size_t>(frame)].then; }
  FrameId below(FrameId frame) const { return frames_[static_cast<size_t>(frame)].below; }
  size_t size() const { return frames_.size(); }
  void Clear();

 private:
  struct Frame {
    StateId then;
    FrameId below;
  };
  std::vector<Frame> frames_;
  std::unordered_map<uint64_t, FrameId> known_;
};

// What a set of configurations can do next.
struct Closure {
  std::vector<Config> reading;  // those with byte edges
  bool complete = false;        // one of them is through, with an empty stack
};

class Stepper {
 public:
  // More configurations at once mean that the grammar is too ambiguous to follow.
  static constexpr size_t kMaxConfigs = 4096;

  explicit Stepper(const Automaton* automaton) : automaton_(automaton) {}

  Frames& frames() { return frames_; }
  const Frames& frames() const { return frames_; }
  void Close(std::span<const Config> kernel, Closure* out);
  // The configurations behind `byte`, sorted, each once. Empty: the byte is not allowed. Returns
  // the first and the last of the bytes around it that lead to the same.
  std::pair<uint8_t, uint8_t> Step(const Closure& closure, uint8_t byte,
                                   std::vector<Config>* kernel);
  // The bytes that may come next.
  void AllowedBytes(const Closure& closure, bool (*allowed)[256]) const;

  // Something was left out because there were more than kMaxConfigs.
  bool overflowed() const { return overflowed_; }
  // Configurations handled so far: a measure of time.
  int64_t work() const { return work_; }

 private:
  Config Popped(Config config) const;
  const Automaton* automaton_;
  Frames frames_;
  std::vector<Config> stack_;
  std::unordered_set<uint64_t> seen_;
  bool overflowed_ = false;
  int64_t work_ = 0;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_CONFIGURATION_H_
