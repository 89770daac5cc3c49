#include "tokenizer/special_token_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace puna::tokenizer {
namespace {

using Part = SpecialTokenMatcher::Part;
using Entry = SpecialTokenMatcher::Entry;

bool IsSpace(char c) { return c == ' ' || c == '\n'; }

// The definition: tokens one after another, longest first, each cut out wherever it is left, from
// left to right.
std::vector<Part> SlowPartition(std::vector<Entry> entries, std::string_view text) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.text.size() > b.text.size(); });
  std::vector<Part> parts;
  if (!text.empty()) parts.push_back({-1, 0, text.size()});
  // Tokens of one length are taken together: which of two that overlap goes first is then decided
  // by their place.
  for (size_t group = 0; group < entries.size();) {
    size_t stop = group;
    while (stop < entries.size() && entries[stop].text.size() == entries[group].text.size()) ++stop;
    std::vector<Part> finer;
    for (const Part& part : parts) {
      if (part.id >= 0) {
        finer.push_back(part);
        continue;
      }
      size_t begin = part.begin;
      for (;;) {
        size_t first = std::string_view::npos;
        const Entry* found = nullptr;
        for (size_t i = group; i < stop; ++i) {
          const size_t at = text.substr(0, part.end).find(entries[i].text, begin);
          if (at < first) {
            first = at;
            found = &entries[i];
          }
        }
        if (found == nullptr) break;
        size_t end = first;
        while (found->strips_left && end > begin && IsSpace(text[end - 1])) --end;
        if (end > begin) finer.push_back({-1, begin, end});
        finer.push_back({found->id, first, first + found->text.size()});
        begin = first + found->text.size();
        while (found->strips_right && begin < part.end && IsSpace(text[begin])) ++begin;
      }
      if (begin < part.end) finer.push_back({-1, begin, part.end});
    }
    parts = std::move(finer);
    group = stop;
  }
  return parts;
}

std::string Describe(const std::vector<Part>& parts) {
  std::string text;
  for (const Part& part : parts) {
    text += "[" + std::to_string(part.id) + ":" + std::to_string(part.begin) + "-" +
            std::to_string(part.end) + "]";
  }
  return text;
}

TEST(SpecialTokenMatcherTest, AgreesWithLongestFirstDefinition) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < 1 + random() % 6; ++i) {
      std::string text;
      for (size_t k = 0; k < 1 + random() % 5; ++k) text += "abc"[random() % 3];
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
    }
    std::vector<Entry> entries;
    for (size_t i = 0; i < texts.size(); ++i) {
      entries.push_back({texts[i], static_cast<int32_t>(i), random() % 4 == 0, random() % 4 == 0});
    }
    std::string text;
    for (size_t k = 0; k < random() % 24; ++k) text += "aabbcc \n"[random() % 8];
    std::vector<Part> parts;
    SpecialTokenMatcher(entries).Partition(text, &parts);
    ASSERT_EQ(Describe(parts), Describe(SlowPartition(entries, text)))
        << "text '" << text << "' round " << round;
  }
}

TEST(SpecialTokenMatcherTest, ManyTokensAndLongRunsStayLinear) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < 20000; ++i) texts.push_back("<|reserved_" + std::to_string(i) + "|>");
  for (size_t i = 1; i <= 24; ++i) texts.push_back(std::string(i, ' '));
  std::vector<Entry> entries;
  for (size_t i = 0; i < texts.size(); ++i) entries.push_back({texts[i], static_cast<int32_t>(i)});
  const SpecialTokenMatcher matcher(entries);
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& text :
       {std::string(1000000, ' '), std::string(1000000, '<'), std::string(1000000, 'x')}) {
    std::vector<Part> parts;
    matcher.Partition(text, &parts);
    EXPECT_EQ(parts.back().end, text.size());
  }
  // Naive matching would search 20024 tokens in three megabytes: minutes. Generous, for busy
  // machines and sanitizers.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace puna::tokenizer
