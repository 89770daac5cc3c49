#include "grammar/char_set.h"

#include <algorithm>
#include <utility>

namespace puna::grammar {
namespace {

constexpr CharRange kSurrogates = {0xD800, 0xDFFF};

// Cuts the surrogates out of a range.
void AddWithoutSurrogates(CharRange range, std::vector<CharRange>* out) {
  if (range.first > kLastChar) return;
  range.last = std::min(range.last, kLastChar);
  if (range.first > range.last) return;
  if (range.last < kSurrogates.first || range.first > kSurrogates.last) {
    out->push_back(range);
    return;
  }
  if (range.first < kSurrogates.first) out->push_back({range.first, kSurrogates.first - 1});
  if (range.last > kSurrogates.last) out->push_back({kSurrogates.last + 1, range.last});
}

}  // namespace

CharSet::CharSet(std::vector<CharRange> ranges) {
  std::vector<CharRange> clean;
  for (const CharRange& range : ranges) AddWithoutSurrogates(range, &clean);
  std::sort(clean.begin(), clean.end());
  for (const CharRange& range : clean) {
    // Characters on both sides of the surrogates are neighbours only in number: they stay apart.
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CharSet CharSet::All() { return CharSet({{0, kLastChar}}); }

bool CharSet::Contains(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t x, const CharRange& r) { return x < r.first; });
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

bool CharSet::Covers(const CharSet& other) const { return Intersection(other) == other; }

CharSet CharSet::Complement() const {
  std::vector<CharRange> gaps;
  char32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastChar) gaps.push_back({next, kLastChar});
  return CharSet(std::move(gaps));
}

CharSet CharSet::Union(const CharSet& other) const {
  std::vector<CharRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(both));
}

CharSet CharSet::Intersection(const CharSet& other) const {
  std::vector<CharRange> common;
  for (size_t i = 0, j = 0; i < ranges_.size() && j < other.ranges_.size();) {
    const CharRange& a = ranges_[i];
    const CharRange& b = other.ranges_[j];
    const char32_t first = std::max(a.first, b.first);
    const char32_t last = std::min(a.last, b.last);
    if (first <= last) common.push_back({first, last});
    (a.last < b.last ? i : j)++;
  }
  return CharSet(std::move(common));
}

const CharSet& PlainChars() {
  static const CharSet kPlain(
      {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, 0x7E}, {0x80, kLastChar}});
  return kPlain;
}

}  // namespace puna::grammar
