#include "grammar/configuration.h"

#include <algorithm>

namespace puna::grammar {
namespace {

uint64_t Key(int32_t high, int32_t low) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32) | static_cast<uint32_t>(low);
}

}  // namespace

FrameId Frames::Push(StateId then, FrameId below) {
  const auto [it, is_new] =
      known_.try_emplace(Key(then, below), static_cast<FrameId>(frames_.size()));
  if (is_new) frames_.push_back({then, below});
  return it->second;
}

void Frames::Clear() {
  frames_.assign(1, {-1, kBottom});
  known_.clear();
}

// A state that can only end its rule is as good as what comes behind the rule.
Config Stepper::Popped(Config config) const {
  while (config.frame != kBottom && automaton_->state(config.state).only_final()) {
    config = {frames_.then(config.frame), frames_.below(config.frame)};
  }
  return config;
}

void Stepper::Close(std::span<const Config> kernel, Closure* out) {
  out->reading.clear();
  out->complete = false;
  seen_.clear();
  stack_.clear();
  const auto visit = [&](Config config) {
    if (seen_.size() >= kMaxConfigs) {
      overflowed_ = true;
      return;
    }
    if (seen_.insert(Key(config.state, config.frame)).second) stack_.push_back(config);
  };
  for (const Config& config : kernel) visit(config);
  while (!stack_.empty()) {
    const Config config = stack_.back();
    stack_.pop_back();
    ++work_;
    const Automaton::State& state = automaton_->state(config.state);
    if (state.bytes_begin != state.bytes_end) out->reading.push_back(config);
    for (const StateId to : automaton_->epsilons(state)) visit({to, config.frame});
    for (const Automaton::CallEdge& call : automaton_->calls(state)) {
      // Nothing is left to do behind a call at the end of a rule: the frame would only be popped.
      const bool last = automaton_->state(call.then).only_final();
      visit({call.callee, last && config.frame != kBottom ? config.frame
                                                          : frames_.Push(call.then, config.frame)});
    }
    if (!state.final) continue;
    if (config.frame == kBottom) {
      out->complete = true;
    } else {
      visit({frames_.then(config.frame), frames_.below(config.frame)});
    }
  }
}

std::pair<uint8_t, uint8_t> Stepper::Step(const Closure& closure, uint8_t byte,
                                          std::vector<Config>* kernel) {
  kernel->clear();
  uint8_t first = 0, last = 255;
  for (const Config& config : closure.reading) {
    for (const Automaton::ByteEdge& edge : automaton_->bytes(automaton_->state(config.state))) {
      if (byte < edge.first) {
        last = std::min<uint8_t>(last, edge.first - 1);
      } else if (byte > edge.last) {
        first = std::max<uint8_t>(first, edge.last + 1);
      } else {
        first = std::max(first, edge.first);
        last = std::min(last, edge.last);
        kernel->push_back(Popped({edge.to, config.frame}));
      }
    }
  }
  work_ += static_cast<int64_t>(closure.reading.size());
  if (kernel->size() >= 2) {
    std::sort(kernel->begin(), kernel->end());
    kernel->erase(std::unique(kernel->begin(), kernel->end()), kernel->end());
  }
  return {first, last};
}

void Stepper::AllowedBytes(const Closure& closure, bool (*allowed)[256]) const {
  std::fill_n(*allowed, 256, false);
  for (const Config& config : closure.reading) {
    for (const Automaton::ByteEdge& edge : automaton_->bytes(automaton_->state(config.state))) {
      std::fill(*allowed + edge.first, *allowed + edge.last + 1, true);
    }
  }
}

}  // namespace puna::grammar
