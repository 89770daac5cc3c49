// WordPiece, Unigram with its charsmap, RWKV and PLaMo on small vocabularies.
#include "tokenizer/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "tokenizer/charsmap.h"
#include "tokenizer/small_vocabulary.h"

namespace puna::tokenizer {
namespace {

using ::testing::ElementsAre;
using testing::RandomText;
using testing::SmallVocabulary;

std::vector<TokenId> Encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options = {}) {
  std::vector<TokenId> ids;
  tokenizer.Encode(text, options, &ids);
  return ids;
}

std::vector<std::string> Texts(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> texts;
  for (const TokenId id : ids) texts.emplace_back(tokenizer.RawTextOf(id));
  return texts;
}

TEST(WordPieceTest, NormalizesAndTakesTheLongestPieces) {
  const auto tokenizer = testing::SmallWordPiece().Make();
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "  The HELLO, unbelievable!worlds ")),
              ElementsAre("\u2581the", "\u2581hello", "\u2581,", "\u2581un", "believ", "able",
                          "\u2581!", "\u2581world", "s"));
}

TEST(WordPieceTest, NormalizesAccentsControlsAndChinese) {
  const auto tokenizer = testing::SmallWordPiece().Make();
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "\u00C1\u0301b\u200Bc h\u00E9llo")),
              ElementsAre("\u2581a", "b", "c", "\u2581hello"));
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "a\u4E2Db\u3000c")),
              ElementsAre("\u2581a", "\u2581\u4E2D", "\u2581b", "\u2581c"));
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "xyz a")), ElementsAre("[UNK]", "\u2581a"));
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "a", {.add_special = true})),
              ElementsAre("[CLS]", "\u2581a", "[SEP]"));
  EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, "hello worlds", {.add_special = true})),
            "hello worlds");
}

TEST(WordPieceTest, CaseIsKeptWhereTheFileSaysSo) {
  SmallVocabulary v = testing::SmallWordPiece();
  v.source().lowercase = false;
  const auto tokenizer = v.Make();
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "hello Hello h\u00E9llo")),
              ElementsAre("\u2581hello", "[UNK]", "[UNK]"));
}

// The best path by trying all of them.
double BestScore(const VocabularySource& source, const std::string& text, size_t begin,
                 std::vector<double>* memo) {
  if (begin == text.size()) return 0;
  if ((*memo)[begin] != 1) return (*memo)[begin];
  double best = -1e9;
  for (size_t id = 0; id < source.tokens.size(); ++id) {
    if (source.types[id] != 1 ||
        !std::string_view(text).substr(begin).starts_with(source.tokens[id]))
      continue;
    best = std::max(
        best, source.scores[id] + BestScore(source, text, begin + source.tokens[id].size(), memo));
  }
  return (*memo)[begin] = best;
}

TEST(UnigramTest, FindsTheBestPath) {
  const SmallVocabulary v = testing::SmallUnigram();
  const auto tokenizer = v.Make();
  std::mt19937_64 random(9);
  auto& source = const_cast<SmallVocabulary&>(v).source();
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (size_t k = 0; k < 1 + random() % 20; ++k) text += "hello world"[random() % 11];
    if (text[0] == ' ') continue;
    std::string escaped;
    AppendEscapedSpaces(" " + text, &escaped);
    // A space after a space is kept by this vocabulary, but starts no new prefix.
    std::vector<double> memo(escaped.size(), 1);
    double score = 0;
    for (const TokenId id : Encode(*tokenizer, text))
      score += source.scores[static_cast<size_t>(id)];
    EXPECT_NEAR(score, BestScore(source, escaped, 0, &memo), 1e-3) << text;
  }
}

TEST(UnigramTest, UnknownUserDefinedAndSpaces) {
  SmallVocabulary v = testing::SmallUnigram();
  const auto tokenizer = v.Make();
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "hello \u4E2D\u6587world")),
              ElementsAre("\u2581hello", "\u2581", "<unk>", "w", "or", "ld"));
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "hello<tool>world", {.add_special = true})),
              ElementsAre("\u2581hello", "<tool>", "\u2581world", "</s>"));
  v.source().remove_extra_whitespaces = true;
  const auto merging = v.Make();
  EXPECT_THAT(Texts(*merging, Encode(*merging, "  hello   world ")),
              ElementsAre("\u2581hello", "\u2581world"));
}

// A charsmap made by hand: a trie that maps "A" to "a", and "B" to nothing.
std::vector<uint8_t> HandMadeCharsmap() {
  // Units: root at 0 with offset 1 << 10; 'A' = 0x41 lands at 1 ^ 0x41 = 0x40, 'B' = 0x42 at 0x43.
  std::vector<uint32_t> units(0x100, 0xFF);  // label 0xFF: reached by no byte used here
  const auto offset_to = [](uint32_t from, uint32_t to) { return (from ^ to) << 10; };
  units[0] = 1u << 10;
  units[0x40] = offset_to(0x40, 0x80) | (1u << 8) | 0x41;
  units[0x80] = (1u << 31) | 0;
  units[0x43] = offset_to(0x43, 0x81) | (1u << 8) | 0x42;
  units[0x81] = (1u << 31) | 2;
  std::vector<uint8_t> blob(4 + units.size() * 4);
  const auto bytes = static_cast<uint32_t>(units.size() * 4);
  std::memcpy(blob.data(), &bytes, 4);
  std::memcpy(blob.data() + 4, units.data(), bytes);
  for (const char c : {'a', '\0', '\0'}) blob.push_back(static_cast<uint8_t>(c));
  return blob;
}

TEST(CharsmapTest, ReplacesPrefixes) {
  const auto map = Charsmap::Parse(HandMadeCharsmap());
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(map->Find("Axy").text, "a");
  EXPECT_EQ(map->Find("Axy").length_bytes, 1u);
  EXPECT_EQ(map->Find("B").text, "");
  EXPECT_EQ(map->Find("B").length_bytes, 1u);
  EXPECT_EQ(map->Find("C").length_bytes, 0u);
  EXPECT_EQ(map->Find("").length_bytes, 0u);

  SmallVocabulary v = testing::SmallUnigram();
  v.source().charsmap = HandMadeCharsmap();
  const auto tokenizer = v.Make();
  EXPECT_EQ(Encode(*tokenizer, "ABhello"), Encode(*tokenizer, "ahello"));
}

TEST(CharsmapTest, HostileBlobsAreErrorsOrHarmless) {
  EXPECT_FALSE(Charsmap::Parse({1, 2}));
  EXPECT_FALSE(Charsmap::Parse({0xFF, 0xFF, 0xFF, 0xFF, 0}));
  EXPECT_FALSE(Charsmap::Parse({4, 0, 0, 0, 1, 2, 3, 4}));
  std::mt19937_64 random(10);
  for (int i = 0; i < 2000; ++i) {
    std::vector<uint8_t> blob = HandMadeCharsmap();
    for (int k = 0; k < 8; ++k)
      blob[4 + random() % (blob.size() - 4)] = static_cast<uint8_t>(random());
    const auto map = Charsmap::Parse(blob);
    ASSERT_TRUE(map);
    for (int byte = 1; byte < 256; ++byte) {
      const std::string text = std::string(1, static_cast<char>(byte)) + "AB";
      EXPECT_LE(map->Find(text).length_bytes, text.size());
    }
  }
}

TEST(RwkvTest, TakesTheLongestTokenAndRoundTripsBytes) {
  const auto tokenizer = testing::SmallRwkv().Make();
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "hello world\n\n\\\u4E2D")),
              ElementsAre("hello", " world", "\\n\\n", "\\x5c", "\u4E2D"));
  EXPECT_EQ(tokenizer->PieceOf(*tokenizer->FindToken("\\t ")), "\t ");
  std::mt19937_64 random(11);
  for (int i = 0; i < 200; ++i) {
    const std::string text = RandomText(&random, static_cast<int>(random() % 60));
    ASSERT_EQ(tokenizer->Decode(Encode(*tokenizer, text)), text);
  }
  std::string bytes;
  for (const TokenId id : Encode(*tokenizer, "\xFF\xC3")) bytes += tokenizer->PieceOf(id);
  EXPECT_EQ(bytes, "\xFF\xC3");
}

// Every way to cut the text into tokens and characters.
int64_t CheapestCost(const SmallVocabulary& v, std::string_view text) {
  const VocabularySource& source = v.source();
  std::vector<int64_t> cost(text.size() + 1, int64_t{1} << 60);
  cost[0] = 0;
  for (size_t begin = 0; begin < text.size(); ++begin) {
    const std::string_view rest = text.substr(begin);
    const auto reach = [&](size_t bytes, int64_t more) {
      cost[begin + bytes] = std::min(cost[begin + bytes], cost[begin] + more);
    };
    reach(DecodeUtf8(rest).length_bytes, 10'000'000);
    for (size_t id = 0; id < source.tokens.size(); ++id) {
      const bool normal = source.types[id] == static_cast<int32_t>(TokenKind::kNormal);
      if (normal && source.scores[id] > -2000 && rest.starts_with(source.tokens[id]))
        reach(source.tokens[id].size(), std::llround(-1e4 * source.scores[id]));
    }
  }
  return cost.back();
}

TEST(PlamoTest, FindsTheCheapestTokensAndRoundTrips) {
  std::mt19937_64 random(5);
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const SmallVocabulary v = testing::SmallPlamo(seed);
    const auto tokenizer = v.Make();
    for (int i = 0; i < 60; ++i) {
      const std::string text = "x" + RandomText(&random, static_cast<int>(random() % 30));
      const std::vector<TokenId> ids = Encode(*tokenizer, text);
      std::string back;
      int64_t cost = 0;
      for (const TokenId id : ids) {
        const std::string_view piece = tokenizer->PieceOf(id);
        back += piece;
        if (tokenizer->KindOf(id) != TokenKind::kByte) {
          cost += std::llround(-1e4 * v.source().scores[static_cast<size_t>(id)]);
        } else if ((static_cast<uint8_t>(piece[0]) & 0xC0) != 0x80) {
          cost += 10'000'000;
        }
      }
      ASSERT_EQ(back, text);
      ASSERT_EQ(cost, CheapestCost(v, text)) << text;
    }
  }
}

TEST(PlamoTest, BytesTiesAndWhatIsLeftOut) {
  SmallVocabulary v(Algorithm::kPlamo);
  v.Add("<|plamo:unk|>", TokenKind::kUnknown);
  v.Add("<|plamo:bos|>", TokenKind::kControl);
  v.Add("<|plamo:eos|>", TokenKind::kControl);
  for (int byte = 0; byte < 256; ++byte)
    v.Add(ByteTokenText(static_cast<uint8_t>(byte)), TokenKind::kByte);
  v.Add("a", TokenKind::kNormal, -1);
  v.Add("b", TokenKind::kNormal, -2);
  v.Add("ab", TokenKind::kNormal, -3);
  v.Add("ba", TokenKind::kNormal, -2500);
  v.Add("\u2581a", TokenKind::kNormal, -1);
  const auto tokenizer = v.Make();
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "\uFEFFabba")), ElementsAre("ab", "b", "a"));
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "a\u00E9\xFF")),
              ElementsAre("a", "<0xC3>", "<0xA9>", "<0xEF>", "<0xBF>", "<0xBD>"));
  EXPECT_EQ(tokenizer->PieceOf(*tokenizer->FindToken("\u2581a")), "\u2581a");
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_THAT(Texts(*tokenizer, Encode(*tokenizer, "a", {.add_special = true})), ElementsAre("a"));
  v.source().add_bos = true;
  EXPECT_THAT(Texts(*v.Make(), Encode(*v.Make(), "a", {.add_special = true})),
              ElementsAre("<|plamo:bos|>", "a"));
}

TEST(RwkvTest, UnescapesTokens) {
  EXPECT_EQ(UnescapeRwkvToken("a\\t\\n\\r\\\\\\x00\\xff\\'"), std::string("a\t\n\r\\\0\xFF'", 8));
  EXPECT_EQ(UnescapeRwkvToken("\\"), "\\");
  EXPECT_EQ(UnescapeRwkvToken("\\x4"), "x4");
}

}  // namespace
}  // namespace puna::tokenizer
