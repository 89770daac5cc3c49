#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "tokenizer/small_vocabulary.h"

namespace puna::tokenizer {
namespace {

using testing::SmallBytePairs;
using testing::SmallSentencePiece;

// Random ids make malformed text of every kind. However it is cut, what comes out is the whole text
// with malformed bytes replaced, and every piece is well-formed.
TEST(StreamDecoderTest, PiecesAreWholeCharactersAndAddUp) {
  std::mt19937_64 random(12);
  for (const auto& tokenizer :
       {SmallBytePairs(1).Make(), SmallSentencePiece(1).Make(), testing::SmallRwkv().Make()}) {
    for (int round = 0; round < 500; ++round) {
      std::vector<TokenId> ids;
      std::string bytes;
      for (size_t i = 0; i < random() % 30; ++i) {
        // Bytes that begin or continue characters, most of the time.
        const uint64_t byte = random() % 3 == 0 ? 0xC0 + random() % 64 : 0x80 + random() % 64;
        ids.push_back(static_cast<TokenId>(
            random() % 4 == 0 ? random() % static_cast<uint64_t>(tokenizer->vocabulary_size())
                              : byte + (tokenizer->KindOf(0) == TokenKind::kUnknown ? 3 : 0)));
        bytes += tokenizer->PieceOf(ids.back());
      }
      StreamDecoder decoder(*tokenizer, /*continues_text=*/true);
      std::string text;
      for (const TokenId id : ids) {
        const std::string piece = decoder.Push(id);
        ASSERT_TRUE(IsValidUtf8(piece));
        text += piece;
      }
      const std::string rest = decoder.Finish();
      ASSERT_TRUE(IsValidUtf8(rest));
      ASSERT_EQ(text + rest, ReplaceInvalidUtf8(bytes));
    }
  }
}

TEST(StreamDecoderTest, HoldsBackUnfinishedCharactersOnly) {
  const auto tokenizer = SmallBytePairs(1).Make();
  const auto push = [&](StreamDecoder* decoder, int byte) {
    return decoder->Push(static_cast<TokenId>(byte));
  };
  StreamDecoder decoder(*tokenizer, false);
  EXPECT_EQ(push(&decoder, 0xF0), "");
  EXPECT_EQ(push(&decoder, 0x9F), "");
  EXPECT_EQ(push(&decoder, 0x98), "");
  EXPECT_EQ(push(&decoder, 0x80), "\U0001F600");
  EXPECT_EQ(push(&decoder, 0xE4), "");
  EXPECT_EQ(push(&decoder, 'x'), "\uFFFDx");
  EXPECT_EQ(push(&decoder, 0xE0), "");
  EXPECT_EQ(push(&decoder, 0x80), "\uFFFD\uFFFD") << "no character begins with E0 80";
  EXPECT_EQ(push(&decoder, 0xFF), "\uFFFD");
  EXPECT_EQ(push(&decoder, 0xC3), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Finish(), "");
  EXPECT_EQ(decoder.Push(-1), "");
  EXPECT_EQ(decoder.Push(1 << 30), "");
}

TEST(StreamDecoderTest, LeadingSpaceBelongsToTheTokenizerOnlyAtTheStart) {
  testing::SmallVocabulary v(Algorithm::kSentencePiece);
  v.Add("<unk>", TokenKind::kUnknown);
  v.Add("<s>", TokenKind::kControl);
  v.Add("</s>", TokenKind::kControl);
  const TokenId hi = v.Add("\u2581hi");
  const auto tokenizer = v.Make();
  StreamDecoder start(*tokenizer, /*continues_text=*/false);
  EXPECT_EQ(start.Push(1), "");
  EXPECT_EQ(start.Push(hi), "hi");
  EXPECT_EQ(start.Push(hi), " hi");
  StreamDecoder continued(*tokenizer, /*continues_text=*/true);
  EXPECT_EQ(continued.Push(hi), " hi");
  StreamDecoder special(*tokenizer, /*continues_text=*/false, /*with_special=*/true);
  EXPECT_EQ(special.Push(1), "<s>");
  EXPECT_EQ(special.Push(hi), "hi");
  EXPECT_EQ(tokenizer->Decode({1, hi, hi, 2}), "hi hi");
  EXPECT_EQ(tokenizer->Decode({1, hi, hi, 2}, true), "<s>hi hi</s>");
}

}  // namespace
}  // namespace puna::tokenizer
