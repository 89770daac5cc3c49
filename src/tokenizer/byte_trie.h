// A trie over bytes with a value at some nodes: built once, then read by many threads.
//
// The children of a node lie side by side, sorted by byte, so that a node is 12 bytes and its
// children are found by binary search; the root, where every look-up starts and most end, has a
// table of 256. A double array would be a little faster and much harder to check.
#ifndef PUNA_TOKENIZER_BYTE_TRIE_H_
#define PUNA_TOKENIZER_BYTE_TRIE_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace puna::tokenizer {

class ByteTrie {
 public:
  static constexpr int32_t kNone = -1;

  ByteTrie() { root_children_.fill(kNone); }
  // Values are >= 0. Of equal keys the first wins; empty keys are ignored. Keys are not kept.
  explicit ByteTrie(const std::vector<std::pair<std::string_view, int32_t>>& entries);

  bool empty() const { return nodes_.size() <= 1; }
  bool MayStartWith(char byte) const { return root_children_[static_cast<uint8_t>(byte)] != kNone; }

  // Walking: from root() along bytes; kNone where no key continues.
  int32_t root() const { return 0; }
  int32_t Child(int32_t node, char byte) const {
    const auto wanted = static_cast<uint8_t>(byte);
    if (node == 0) return root_children_[wanted];
    const Node& parent = nodes_[static_cast<size_t>(node)];
    int32_t low = parent.first_child;
    int32_t high = low + parent.child_count;
    while (low < high) {
      const int32_t middle = low + (high - low) / 2;
      const uint8_t found = labels_[static_cast<size_t>(middle)];
      if (found == wanted) return middle;
      if (found < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return kNone;
  }
  int32_t ValueAt(int32_t node) const { return nodes_[static_cast<size_t>(node)].value; }

  struct Match {
    int32_t value = kNone;
    size_t length_bytes = 0;
  };
  // The longest key that `text` starts with; value kNone if there is none.
  Match Longest(std::string_view text) const;

 private:
  struct Node {
    int32_t first_child = 0;
    int32_t child_count = 0;
    int32_t value = kNone;
  };
  std::vector<Node> nodes_;      // [0] is the root; breadth first
  std::vector<uint8_t> labels_;  // the byte that leads to the node of the same index
  std::array<int32_t, 256> root_children_;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_BYTE_TRIE_H_
