// SentencePiece BPE against a plain version on the whole text: no words, no cache, no heap.
#include "tokenizer/spm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tokenizer/small_vocabulary.h"

namespace puna::tokenizer {
namespace {

using ::testing::ElementsAre;
using testing::RandomText;
using testing::SmallSentencePiece;
using testing::SmallVocabulary;

std::vector<TokenId> Encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options = {}) {
  std::vector<TokenId> ids;
  tokenizer.Encode(text, options, &ids);
  return ids;
}

std::vector<TokenId> SlowEncode(const VocabularySource& source, std::string_view text) {
  std::map<std::string, TokenId, std::less<>> tokens;
  for (size_t id = 0; id < source.tokens.size(); ++id) {
    const auto kind = static_cast<TokenKind>(source.types[id]);
    if (kind == TokenKind::kNormal || kind == TokenKind::kUserDefined) {
      tokens.try_emplace(std::string(source.tokens[id]), static_cast<TokenId>(id));
    }
  }
  std::string escaped(kEscapedSpace);
  AppendEscapedSpaces(text, &escaped);
  std::vector<std::string> parts;
  for (std::string_view rest = escaped; !rest.empty();) {
    const auto lead = static_cast<uint8_t>(rest[0]);
    const size_t length = std::min<size_t>(lead < 0xC0   ? 1
                                           : lead < 0xE0 ? 2
                                           : lead < 0xF0 ? 3
                                                         : 4,
                                           rest.size());
    parts.emplace_back(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  for (;;) {
    size_t best = parts.size();
    float best_score = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto token = tokens.find(parts[i] + parts[i + 1]);
      if (token == tokens.end()) continue;
      const float score = source.scores[static_cast<size_t>(token->second)];
      if (best == parts.size() || score > best_score) {
        best = i;
        best_score = score;
      }
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  std::vector<TokenId> ids;
  for (const std::string& part : parts) {
    if (const auto token = tokens.find(part); token != tokens.end()) {
      ids.push_back(token->second);
    } else {
      for (const char byte : part) ids.push_back(3 + static_cast<uint8_t>(byte));
    }
  }
  return ids;
}

TEST(SentencePieceTest, AgreesWithSlowTwinOnRandomVocabulariesAndTexts) {
  std::mt19937_64 random(6);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SmallVocabulary v = SmallSentencePiece(seed, seed % 2 == 1);
    v.source().tokens.pop_back();  // the user-defined token
    v.source().types.pop_back();
    v.source().scores.pop_back();
    const auto fast = v.Make();
    for (int i = 0; i < 60; ++i) {
      std::string text = RandomText(&random, 1 + static_cast<int>(random() % 120));
      if (i % 5 == 0) {
        for (int k = 0; k < 4; ++k) text[random() % text.size()] = static_cast<char>(random());
      }
      if (i % 7 == 0) text.insert(random() % text.size(), 60, 'a');
      ASSERT_EQ(Encode(*fast, text), SlowEncode(v.source(), text))
          << "seed " << seed << " text '" << text << "'";
    }
  }
}

TEST(SentencePieceTest, RoundTripsAnyText) {
  std::mt19937_64 random(7);
  for (const uint64_t seed : {1, 2, 3}) {
    const auto tokenizer = SmallSentencePiece(seed).Make();
    for (int i = 0; i < 200; ++i) {
      std::string text = RandomText(&random, static_cast<int>(random() % 100));
      std::erase_if(text, [](char c) { return c == '<'; });  // no user-defined token
      if (text.find(kEscapedSpace) != std::string::npos)
        continue;  // U+2581 itself comes back as a space
      ASSERT_EQ(tokenizer->Decode(Encode(*tokenizer, text)), text);
      ASSERT_EQ(tokenizer->Decode(Encode(*tokenizer, text, {.add_special = true})), text);
    }
  }
}

TEST(SentencePieceTest, SpacePrefix) {
  SmallVocabulary v(Algorithm::kSentencePiece);
  v.Add("<unk>", TokenKind::kUnknown);
  v.Add("<s>", TokenKind::kControl);
  v.Add("</s>", TokenKind::kControl);
  for (const char* token : {"a", "\u2581", "\u2581a"}) v.Add(token);
  v.Add("<x>", TokenKind::kUserDefined);
  const auto with = v.Make();
  EXPECT_THAT(Encode(*with, "a a"), ElementsAre(5, 5));
  EXPECT_THAT(Encode(*with, ""), ElementsAre());
  EXPECT_THAT(Encode(*with, "", {.add_special = true}), ElementsAre(1));
  EXPECT_THAT(Encode(*with, "a", {.add_special = true}), ElementsAre(1, 5));
  EXPECT_THAT(Encode(*with, "a<x>a"), ElementsAre(5, 6, 5));
  EXPECT_THAT(Encode(*with, "<s>a", {.parse_special = true}), ElementsAre(1, 5));
  EXPECT_THAT(Encode(*with, "a\xFF"), ElementsAre(5, 0));  // a byte without a token is unknown
  EXPECT_TRUE(with->drops_leading_space());
  EXPECT_EQ(with->Decode({1, 5, 5}), "a a");

  v.source().add_space_prefix = false;
  v.source().add_bos = false;
  v.source().add_eos = true;
  const auto without = v.Make();
  EXPECT_THAT(Encode(*without, "a a", {.add_special = true}), ElementsAre(3, 5, 2));
  EXPECT_FALSE(without->drops_leading_space());
  EXPECT_EQ(without->Decode({5, 5}), " a a");
}

TEST(SentencePieceTest, ControlTextIsNeverAControlTokenByJoining) {
  SmallVocabulary v(Algorithm::kSentencePiece);
  v.Add("<unk>", TokenKind::kUnknown);
  v.Add("<s>", TokenKind::kControl);
  for (const char* token : {"\u2581", "<", "s", ">", "<s"}) v.Add(token);
  v.source().add_space_prefix = false;
  const auto tokenizer = v.Make();
  EXPECT_THAT(Encode(*tokenizer, "<s>"), ElementsAre(6, 5));
}

}  // namespace
}  // namespace puna::tokenizer
