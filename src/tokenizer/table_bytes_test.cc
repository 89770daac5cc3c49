#include "tokenizer/table_bytes.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace puna::tokenizer {
namespace {

int64_t AllocatedBytes() {
  const auto info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

// Words of up to four syllables, and how each but the shortest is merged from shorter ones, as in a
// vocabulary that was learned.
void MakeWords(std::vector<std::string>* words, std::vector<std::string>* merges) {
  static constexpr std::string_view kSyllables[] = {"ba", "co", "de", "er", "ing", "la",
                                                    "mo", "ne", "pr", "ti", "us",  "un"};
  words->assign(std::begin(kSyllables), std::end(kSyllables));
  for (size_t begin = 0, n = 2; n <= 4; ++n) {
    const size_t end = words->size();
    for (size_t i = begin; i < end; ++i) {
      for (const std::string_view last : kSyllables) {
        merges->push_back((*words)[i] + " " + std::string(last));
        words->push_back((*words)[i] + std::string(last));
      }
    }
    begin = end;
  }
}

TEST(TableBytes, IsWhatTheAllocatorGives) {
  const int64_t before_probe = AllocatedBytes();
  const std::vector<char> probe(1 << 20);
  if (AllocatedBytes() - before_probe < (1 << 20)) GTEST_SKIP() << "another allocator";
  std::vector<std::string> words, merges;
  MakeWords(&words, &merges);
  for (const auto& [algorithm, name] :
       {std::pair(Algorithm::kBytePairs, "byte pairs"),
        std::pair(Algorithm::kSentencePiece, "SentencePiece"),
        std::pair(Algorithm::kWordPiece, "WordPiece"), std::pair(Algorithm::kUnigram, "Unigram"),
        std::pair(Algorithm::kRwkv, "RWKV"), std::pair(Algorithm::kPlamo, "PLaMo")}) {
    VocabularySource source;
    source.algorithm = algorithm;
    source.unknown = 0;
    source.tokens.assign(words.begin(), words.end());
    source.scores.assign(words.size(), -1);
    source.types.assign(words.size(), 1);
    if (algorithm == Algorithm::kBytePairs) {
      source.pre = "gpt-2";
      source.merges.assign(merges.begin(), merges.end());
    }
    const int64_t before = AllocatedBytes();
    const auto tokenizer = Tokenizer::New(source);
    const int64_t grown = AllocatedBytes() - before;
    ASSERT_TRUE(tokenizer.has_value()) << name << ": " << tokenizer.error().message;
    EXPECT_NEAR(static_cast<double>(TableBytes(source)) / static_cast<double>(grown), 1, 0.15)
        << name << " took " << grown;
  }
}

}  // namespace
}  // namespace puna::tokenizer
