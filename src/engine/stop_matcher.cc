// An Aho-Corasick automaton: its state is the longest suffix of the text that is a prefix of some
// stop string, and that is exactly what has to be held back. Each byte costs amortized constant
// time whatever the stop strings are. Searching the tail of the text for every stop string after
// every token was rejected: it is quadratic for hostile stop lists, and its result depends on where
// the tokens happen to end.
#include "engine/stop_matcher.h"

#include <deque>
#include <utility>

#include "base/utf8.h"

namespace puna::engine {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) : nodes_(1) {
  for (const std::string& stop : stops) {
    if (!stop.empty() && IsValidUtf8(stop)) Insert(stop);
  }
  LinkFallbacks();
}

void StopMatcher::Insert(std::string_view stop) {
  int node = 0;
  for (const char c : stop) {
    const auto byte = static_cast<unsigned char>(c);
    const auto [it, inserted] =
        nodes_[static_cast<size_t>(node)].next.try_emplace(byte, static_cast<int>(nodes_.size()));
    const size_t depth = nodes_[static_cast<size_t>(node)].depth + 1;
    node = it->second;
    if (inserted) nodes_.push_back({.next = {}, .fallback = 0, .depth = depth, .stop_bytes = 0});
  }
  nodes_[static_cast<size_t>(node)].stop_bytes = stop.size();
}

// Breadth first, so that the shorter prefixes that a fallback leads to are finished before.
void StopMatcher::LinkFallbacks() {
  std::deque<int> queue{0};
  while (!queue.empty()) {
    const int parent = queue.front();
    queue.pop_front();
    for (const auto& [byte, child] : nodes_[static_cast<size_t>(parent)].next) {
      Node& node = nodes_[static_cast<size_t>(child)];
      if (parent != 0) node.fallback = Advance(nodes_[static_cast<size_t>(parent)].fallback, byte);
      if (node.stop_bytes == 0)
        node.stop_bytes = nodes_[static_cast<size_t>(node.fallback)].stop_bytes;
      queue.push_back(child);
    }
  }
}

int StopMatcher::Advance(int node, unsigned char byte) const {
  while (true) {
    const Node& at = nodes_[static_cast<size_t>(node)];
    const auto it = at.next.find(byte);
    if (it != at.next.end()) return it->second;
    if (node == 0) return 0;
    node = at.fallback;
  }
}

std::string StopMatcher::Push(std::string_view text) {
  if (matched_) return {};
  if (nodes_.size() == 1) return std::string(text);
  std::string pending = std::move(held_);
  held_.clear();
  for (const char c : text) {
    pending.push_back(c);
    node_ = Advance(node_, static_cast<unsigned char>(c));
    const size_t stop_bytes = nodes_[static_cast<size_t>(node_)].stop_bytes;
    if (stop_bytes == 0) continue;
    matched_ = true;
    match_ = pending.substr(pending.size() - stop_bytes);
    pending.resize(pending.size() - stop_bytes);
    return pending;
  }
  const size_t certain = pending.size() - nodes_[static_cast<size_t>(node_)].depth;
  held_ = pending.substr(certain);
  pending.resize(certain);
  return pending;
}

std::string StopMatcher::Finish() {
  node_ = 0;
  return std::exchange(held_, {});
}

}  // namespace puna::engine
