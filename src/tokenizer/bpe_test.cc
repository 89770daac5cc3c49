// Byte-pair encoding against the plainest possible version of it: strings, a map of pairs, a scan
// for the best pair.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tokenizer/pretokenizer.h"
#include "tokenizer/small_vocabulary.h"

namespace puna::tokenizer {
namespace {

using ::testing::ElementsAre;
using testing::RandomText;
using testing::SmallBytePairs;
using testing::SmallVocabulary;

std::vector<TokenId> Encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options = {}) {
  std::vector<TokenId> ids;
  tokenizer.Encode(text, options, &ids);
  return ids;
}

class SlowBytePairs {
 public:
  explicit SlowBytePairs(const VocabularySource& source)
      : pretokenizer_(*PreTokenizer::New(FindPreTokenizer(source.pre)->stages, false)),
        ignore_merges_(FindPreTokenizer(source.pre)->rules.ignore_merges) {
    for (size_t i = 0; i < source.merges.size(); ++i) {
      const size_t space = source.merges[i].find(' ', 1);
      ranks_.try_emplace({std::string(source.merges[i].substr(0, space)),
                          std::string(source.merges[i].substr(space + 1))},
                         i);
    }
    for (size_t id = 0; id < source.tokens.size(); ++id) {
      if (source.types[id] == static_cast<int32_t>(TokenKind::kNormal)) {
        tokens_.try_emplace(std::string(source.tokens[id]), static_cast<TokenId>(id));
      }
    }
  }

  std::vector<TokenId> Encode(std::string_view text) const {
    std::vector<size_t> ends;
    pretokenizer_.Split(text, &ends);
    std::vector<TokenId> ids;
    size_t begin = 0;
    for (const size_t end : ends) {
      EncodeWord(text.substr(begin, end - begin), &ids);
      begin = end;
    }
    return ids;
  }

 private:
  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const {
    if (const auto whole = tokens_.find(SpellBytes(word));
        ignore_merges_ && whole != tokens_.end()) {
      ids->push_back(whole->second);
      return;
    }
    std::vector<std::string> parts;
    for (const char c : word) parts.push_back(SpellBytes({&c, 1}));
    for (;;) {
      size_t best = parts.size();
      size_t best_rank = SIZE_MAX;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto rank = ranks_.find({parts[i], parts[i + 1]});
        if (rank != ranks_.end() && rank->second < best_rank) {
          best = i;
          best_rank = rank->second;
        }
      }
      if (best == parts.size()) break;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
    for (const std::string& part : parts) {
      if (const auto token = tokens_.find(part); token != tokens_.end()) {
        ids->push_back(token->second);
        continue;
      }
      std::string bytes;
      AppendSpelledBytes(part, &bytes);
      for (const char c : bytes) ids->push_back(tokens_.at(SpellBytes({&c, 1})));
    }
  }

  PreTokenizer pretokenizer_;
  bool ignore_merges_;
  std::map<std::pair<std::string, std::string>, size_t> ranks_;
  std::map<std::string, TokenId> tokens_;
};

TEST(BytePairTest, AgreesWithSlowTwinOnRandomVocabulariesAndTexts) {
  std::mt19937_64 random(3);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SmallVocabulary v = SmallBytePairs(seed, seed % 3 == 0   ? "llama-bpe"
                                             : seed % 3 == 1 ? "gpt-2"
                                                             : "starcoder");
    v.source().types.assign(v.source().types.size(),
                            1);  // no special tokens: only merges are compared
    const auto fast = v.Make();
    const SlowBytePairs slow(v.source());
    for (int i = 0; i < 60; ++i) {
      const std::string text = RandomText(&random, 1 + static_cast<int>(random() % 200));
      ASSERT_EQ(Encode(*fast, text), slow.Encode(text))
          << "seed " << seed << " text '" << text << "'";
    }
  }
}

// Words beyond the limit of the scanning version, so that the heap is compared too.
TEST(BytePairTest, LongWordsAgreeWithSlowTwin) {
  std::mt19937_64 random(4);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    SmallVocabulary v = SmallBytePairs(seed);
    for (const char* merge : {"a", "aa", "aaaa", "ab", "ba"}) {
      v.AddMerge(merge, merge);
      v.AddMerge("a", "b");
      v.AddMerge("b", merge);
    }
    const auto fast = v.Make();
    const SlowBytePairs slow(v.source());
    for (int i = 0; i < 30; ++i) {
      std::string text;
      while (text.size() < 49 + random() % 400) text += "aaabthehe"[random() % 9];
      ASSERT_EQ(Encode(*fast, text), slow.Encode(text)) << text;
    }
  }
}

TEST(BytePairTest, RoundTripsEveryBytePattern) {
  std::mt19937_64 random(5);
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto tokenizer = SmallBytePairs(seed, seed % 2 == 0 ? "llama-bpe" : "deepseek-v3").Make();
    for (int i = 0; i < 200; ++i) {
      const std::string text = RandomText(&random, static_cast<int>(random() % 100));
      ASSERT_EQ(tokenizer->Decode(Encode(*tokenizer, text)), text);
    }
  }
}

TEST(BytePairTest, MalformedBytesAreEncodedAsReplacementCharacters) {
  const auto tokenizer = SmallBytePairs(1).Make();
  EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, "a\xFF\xE4\xB8z")), "a\uFFFD\uFFFD\uFFFDz");
}

TEST(BytePairTest, IgnoreMergesTakesWholeWords) {
  const auto make = [](const char* pre) {
    SmallVocabulary v(Algorithm::kBytePairs);
    v.source().pre = pre;
    for (const char* token : {"a", "b", "c", "ab", "bc", "abc"}) v.Add(token);
    v.AddMerge("b", "c");
    v.AddMerge("a", "b");
    return v.Make();
  };
  EXPECT_THAT(Encode(*make("llama-bpe"), "abc"),
              ElementsAre(5));  // the token, although no merge leads to it
  EXPECT_THAT(Encode(*make("qwen2"), "abc"), ElementsAre(0, 4));
}

TEST(BytePairTest, MergesWithUnknownPartsAndResultsAreHarmless) {
  SmallVocabulary v(Algorithm::kBytePairs);
  v.source().pre = "qwen2";
  for (const char* token : {"a", "b", "abab"}) v.Add(token);
  v.AddMerge("a", "b");  // "ab" is no token, but leads to one
  v.AddMerge("ab", "ab");
  v.AddMerge("x", "y");       // neither are its parts
  v.AddMerge("\u4E2D", "a");  // not of the byte alphabet
  v.source().merges.push_back("nospace");
  v.source().merges.push_back("a ");
  v.source().merges.push_back("");
  const auto tokenizer = v.Make();
  EXPECT_THAT(Encode(*tokenizer, "abab"), ElementsAre(2));
  EXPECT_THAT(Encode(*tokenizer, "ab"), ElementsAre(0, 1));
  EXPECT_THAT(Encode(*tokenizer, "xya"), ElementsAre(0));  // bytes without a token are left out
}

// Gemma 4: spaces are U+2581, no byte alphabet, byte tokens, runs of line breaks kept whole.
TEST(BytePairTest, SentencePieceStyle) {
  SmallVocabulary v(Algorithm::kBytePairs);
  v.source().pre = "gemma4";
  v.source().bos = v.Add("<bos>", TokenKind::kControl);
  for (const char* token : {"\u2581", "h", "i", "\u2581hi", "hi", "\n", "\n\n"}) v.Add(token);
  v.Add("<0xC3>", TokenKind::kByte);
  v.Add("<0xA9>", TokenKind::kByte);
  v.AddMerge("h", "i");
  v.AddMerge("\u2581", "hi");
  const auto tokenizer = v.Make();
  EXPECT_THAT(Encode(*tokenizer, "hi hi\n\n\u00E9"), ElementsAre(5, 4, 7, 8, 9));
  EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, "hi hi\n\n\u00E9")), "hi hi\n\n\u00E9");
  EXPECT_THAT(Encode(*tokenizer, "hi", {.add_special = true}), ElementsAre(0, 5));
}

TEST(BytePairTest, CacheKeepsTokenizersApart) {
  const auto one = SmallBytePairs(1).Make();
  const auto other = SmallBytePairs(2).Make();
  const std::string text = "the hello world there then hello the";
  const auto expected_one = Encode(*one, text);
  const auto expected_other = Encode(*other, text);
  EXPECT_NE(expected_one, expected_other);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Encode(*one, text), expected_one);
    EXPECT_EQ(Encode(*other, text), expected_other);
  }
}

}  // namespace
}  // namespace puna::tokenizer
