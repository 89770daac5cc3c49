#include "tokenizer/byte_trie.h"

#include <algorithm>

namespace puna::tokenizer {

ByteTrie::ByteTrie(const std::vector<std::pair<std::string_view, int32_t>>& entries) {
  root_children_.fill(kNone);
  std::vector<std::pair<std::string_view, int32_t>> sorted = entries;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // Every node stands for a range of the sorted keys that share a prefix of `depth` bytes. Breadth
  // first with a list of ranges instead of recursion: a hostile key may be thousands of bytes deep.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, sorted.size(), 0}};
  nodes_.emplace_back();
  labels_.push_back(0);
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    for (; begin < end && sorted[begin].first.size() == depth; ++begin) {
      if (depth > 0 && nodes_[node].value == kNone) nodes_[node].value = sorted[begin].second;
    }
    nodes_[node].first_child = static_cast<int32_t>(nodes_.size());
    while (begin < end) {
      const char label = sorted[begin].first[depth];
      size_t stop = begin + 1;
      while (stop < end && sorted[stop].first[depth] == label) ++stop;
      if (node == 0)
        root_children_[static_cast<uint8_t>(label)] = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
      labels_.push_back(static_cast<uint8_t>(label));
      ranges.push_back({begin, stop, depth + 1});
      begin = stop;
    }
    nodes_[node].child_count = static_cast<int32_t>(nodes_.size()) - nodes_[node].first_child;
  }
  nodes_.shrink_to_fit();
  labels_.shrink_to_fit();
}

ByteTrie::Match ByteTrie::Longest(std::string_view text) const {
  Match longest;
  if (empty()) return longest;
  int32_t node = root();
  for (size_t i = 0; i < text.size(); ++i) {
    node = Child(node, text[i]);
    if (node == kNone) break;
    if (ValueAt(node) != kNone) longest = {ValueAt(node), i + 1};
  }
  return longest;
}

}  // namespace puna::tokenizer
