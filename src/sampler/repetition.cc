// Read backwards, an earlier occurrence of the end is a place where the text begins as the whole
// does: the Z function gives its length for every place in linear time.
#include "sampler/repetition.h"

#include <algorithm>

namespace puna::sampler {

std::map<int32_t, int64_t> FindRepetitions(std::span<const int32_t> history, int64_t min_length,
                                           const std::vector<int32_t>& breakers) {
  const auto size = static_cast<int64_t>(history.size());
  const auto back = [&](int64_t i) { return history[static_cast<size_t>(size - 1 - i)]; };
  int64_t limit = 0;
  while (limit < size && !std::binary_search(breakers.begin(), breakers.end(), back(limit)))
    ++limit;
  std::map<int32_t, int64_t> longest;
  if (limit < min_length) return longest;
  std::vector<int64_t> same(static_cast<size_t>(size));  // Z function of the reversed history
  int64_t left = 0, right = 0;                           // the match that reaches furthest
  for (int64_t i = 1; i < size; ++i) {
    int64_t& length = same[static_cast<size_t>(i)];
    if (i < right) length = std::min(right - i, same[static_cast<size_t>(i - left)]);
    while (i + length < size && back(length) == back(i + length)) ++length;
    if (i + length > right) {
      left = i;
      right = i + length;
    }
    const int64_t usable = std::min(length, limit);
    if (usable < min_length) continue;
    int64_t& best = longest[back(i - 1)];
    best = std::max(best, usable);
  }
  return longest;
}

}  // namespace puna::sampler
