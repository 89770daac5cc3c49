// Finds stop strings in text that arrives in pieces, and holds back only what may still become one.
// Not thread safe; one per sequence.
#ifndef PUNA_ENGINE_STOP_MATCHER_H_
#define PUNA_ENGINE_STOP_MATCHER_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace puna::engine {

class StopMatcher {
 public:
  // Empty strings and malformed UTF-8 never match (the text is well-formed, so they could only cut
  // a character in two).
  explicit StopMatcher(const std::vector<std::string>& stops);

  // Takes the next piece of text and returns what is certain not to belong to a stop string. The
  // stop string that is complete first wins, whatever the pieces are; of several that end at the
  // same byte the longest. After a match the text before it has been returned and nothing more will
  // be.
  std::string Push(std::string_view text);
  // The text still held back, at the end of the output; empty after a match.
  std::string Finish();

  bool matched() const { return matched_; }
  const std::string& match() const { return match_; }

 private:
  struct Node {  // a prefix of some stop string
    std::map<unsigned char, int> next;
    int fallback =
        0;  // the longest proper suffix of this prefix that is a prefix of some stop string
    size_t depth = 0;       // bytes of this prefix
    size_t stop_bytes = 0;  // length of the longest stop string that this prefix ends with; 0: none
  };
  void Insert(std::string_view stop);
  void LinkFallbacks();
  int Advance(int node, unsigned char byte) const;

  std::vector<Node> nodes_;  // [0] is the empty prefix
  int node_ = 0;             // the longest suffix of the text so far that may become a stop string
  std::string held_;         // that suffix
  bool matched_ = false;
  std::string match_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_STOP_MATCHER_H_
