// Longest first, with a trie. From the left, the first token found at a place is right unless a
// longer one starts inside it; then that longer one goes first, and what lies before it is
// partitioned by itself. So only real crossings (rare, and known beforehand from the tokens alone)
// cost more than a plain walk. Leftmost-longest matching, as Hugging Face has it, would be simpler
// and differs in just those crossings.
#include "tokenizer/special_token_matcher.h"

#include <algorithm>

namespace puna::tokenizer {
namespace {

bool IsAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Beyond this length a token is assumed to be crossed, so that building stays linear.
constexpr size_t kMaxAnalyzedBytes = 256;

}  // namespace

SpecialTokenMatcher::SpecialTokenMatcher(std::vector<Entry> entries)
    : entries_(std::move(entries)) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    keys.emplace_back(entries_[i].text, static_cast<int32_t>(i));
    longest_bytes_ = std::max(longest_bytes_, entries_[i].text.size());
  }
  trie_ = ByteTrie(keys);

  // A token is crossed by one that starts with its suffix and goes on. Such a suffix leads to a
  // node with children.
  may_be_crossed_.assign(entries_.size(), false);
  for (size_t i = 0; i < entries_.size(); ++i) {
    const std::string_view text = entries_[i].text;
    if (text.size() > kMaxAnalyzedBytes) {
      may_be_crossed_[i] = true;
      continue;
    }
    for (size_t start = 1; start < text.size() && !may_be_crossed_[i]; ++start) {
      int32_t node = trie_.root();
      size_t at = start;
      while (at < text.size() && node != ByteTrie::kNone) node = trie_.Child(node, text[at++]);
      if (node != ByteTrie::kNone) may_be_crossed_[i] = true;
    }
  }
}

SpecialTokenMatcher::Found SpecialTokenMatcher::LongestAt(std::string_view text, size_t from,
                                                          size_t limit) const {
  const ByteTrie::Match match = trie_.Longest(text.substr(from, limit - from));
  if (match.value == ByteTrie::kNone) return {};
  return {match.value, from, from + match.length_bytes};
}

SpecialTokenMatcher::Found SpecialTokenMatcher::First(std::string_view text, size_t from,
                                                      size_t limit) const {
  for (; from < limit; ++from) {
    if (!trie_.MayStartWith(text[from])) continue;
    if (const Found found = LongestAt(text, from, limit); found.entry >= 0) return found;
  }
  return {};
}

SpecialTokenMatcher::Found SpecialTokenMatcher::LongerInside(std::string_view text,
                                                             const Found& match,
                                                             size_t limit) const {
  Found best;
  if (!may_be_crossed_[static_cast<size_t>(match.entry)]) return best;
  size_t longest = match.end - match.begin;
  if (longest == longest_bytes_) return best;
  for (size_t from = match.begin + 1; from < match.end; ++from) {
    if (!trie_.MayStartWith(text[from])) continue;
    const Found found = LongestAt(text, from, limit);
    if (found.entry < 0 || found.end - found.begin <= longest) continue;
    best = found;
    longest = found.end - found.begin;
  }
  return best;
}

void SpecialTokenMatcher::AddText(std::string_view text, size_t begin, size_t end, bool strip_end,
                                  std::vector<Part>* parts) const {
  while (strip_end && end > begin && IsAsciiSpace(text[end - 1])) --end;
  if (end > begin) parts->push_back({-1, begin, end});
}

void SpecialTokenMatcher::PartitionRange(std::string_view text, size_t from, size_t limit,
                                         std::vector<Part>* parts) const {
  while (from < limit) {
    Found match = First(text, from, limit);
    if (match.entry < 0) break;
    bool crossed = false;
    for (Found longer = LongerInside(text, match, limit); longer.entry >= 0;
         longer = LongerInside(text, match, limit)) {
      match = longer;
      crossed = true;
    }
    const Entry& entry = entries_[static_cast<size_t>(match.entry)];
    if (crossed) {
      // The range before is shorter than the tokens that were passed over, so the recursion is
      // shallow.
      size_t end = match.begin;
      while (entry.strips_left && end > from && IsAsciiSpace(text[end - 1])) --end;
      PartitionRange(text, from, end, parts);
    } else {
      AddText(text, from, match.begin, entry.strips_left, parts);
    }
    parts->push_back({entry.id, match.begin, match.end});
    from = match.end;
    while (entry.strips_right && from < limit && IsAsciiSpace(text[from])) ++from;
  }
  if (from < limit) AddText(text, from, limit, false, parts);
}

void SpecialTokenMatcher::Partition(std::string_view text, std::vector<Part>* parts) const {
  PartitionRange(text, 0, text.size(), parts);
}

}  // namespace puna::tokenizer
