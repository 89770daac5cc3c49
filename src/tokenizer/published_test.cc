// Vocabularies in other formats (SentencePiece models, tiktoken ranks) with ids that their own
// projects publish. Puna reads GGUF only, so small readers stand here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/base64.h"
#include "tests/support/shared_data.h"
#include "tokenizer/small_vocabulary.h"

namespace puna::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::SmallVocabulary;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<TokenId> Encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options = {}) {
  std::vector<TokenId> ids;
  tokenizer.Encode(text, options, &ids);
  return ids;
}

// Just enough of protocol buffers: calls field(number, integer, bytes) for each field of a message.
template <typename Function>
void ForEachField(std::string_view message, Function field) {
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0; at < message.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(message[at++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < message.size()) {
    const uint64_t tag = varint();
    uint64_t integer = 0;
    size_t size = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : 0;
    if ((tag & 7) == 0) integer = varint();
    if ((tag & 7) == 2) size = varint();
    field(static_cast<int>(tag >> 3), integer, message.substr(at, size));
    at += size;
  }
}

// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
SmallVocabulary ReadSentencePieceModel(const std::filesystem::path& path, Algorithm algorithm) {
  SmallVocabulary v(algorithm);
  const std::string file = ReadFile(path);
  ForEachField(file, [&](int number, uint64_t, std::string_view bytes) {
    if (number == 1) {  // pieces
      std::string text;
      float score = 0;
      auto kind = TokenKind::kNormal;
      ForEachField(bytes, [&](int field, uint64_t integer, std::string_view value) {
        if (field == 1) text = value;
        if (field == 2) std::memcpy(&score, value.data(), 4);
        if (field == 3) kind = static_cast<TokenKind>(integer);
      });
      v.Add(text, kind, score);
    } else if (number == 3) {  // normalizer_spec
      v.source().remove_extra_whitespaces = true;
      v.source().add_space_prefix = true;
      ForEachField(bytes, [&](int field, uint64_t integer, std::string_view value) {
        if (field == 2) v.source().charsmap.assign(value.begin(), value.end());
        if (field == 3) v.source().add_space_prefix = integer != 0;
        if (field == 4) v.source().remove_extra_whitespaces = integer != 0;
      });
    }
  });
  return v;
}

// The examples in SentencePiece's README use this model (Unigram, NFKC).
TEST(PublishedTest, SentencePieceUnigramModel) {
  PUNA_SHARED_OR_SKIP(path, "data/vocab/sentencepiece/test_model.model");
  SmallVocabulary v = ReadSentencePieceModel(path, Algorithm::kUnigram);
  v.source().unknown = 0;
  v.source().bos = 1;
  v.source().eos = 2;
  const auto tokenizer = v.Make();
  const std::vector<TokenId> this_is_a_test = {284, 47, 11, 4, 15, 400};
  EXPECT_EQ(Encode(*tokenizer, "This is a test"), this_is_a_test);
  EXPECT_THAT(Encode(*tokenizer, "Hello world"), ElementsAre(151, 88, 21, 887));
  // NFKC by the charsmap: full-width letters and an ideographic space; white space is merged.
  EXPECT_EQ(Encode(*tokenizer, "\uFF34\uFF48\uFF49\uFF53\u3000is   a \uFF54est "), this_is_a_test);
  EXPECT_EQ(tokenizer->Decode(this_is_a_test), "This is a test");
}

// The first ids of a text that a trained model was tested with.
TEST(PublishedTest, SentencePieceBpeModel) {
  PUNA_SHARED_OR_SKIP(path, "data/models/stories260K/tok512.model");
  PUNA_SHARED_OR_SKIP(golden_path, "data/models/stories260K/golden.json");
  PUNA_SHARED_OR_SKIP(text_path, "data/text/cs336/tinystories_sample.txt");
  const auto tokenizer = ReadSentencePieceModel(path, Algorithm::kSentencePiece).Make();
  std::string text;
  std::ifstream lines(text_path);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("<|endoftext|>") == std::string::npos) text += line + "\n";
  }
  text.erase(0, text.find_first_not_of('\n'));
  const auto golden = nlohmann::json::parse(ReadFile(golden_path));
  const auto& example = golden["perplexity"][0];
  std::vector<TokenId> ids = Encode(*tokenizer, text, {.add_special = true});
  const auto first = example["ids"].get<std::vector<TokenId>>();
  ASSERT_GE(ids.size(), first.size());
  ids.resize(first.size());
  EXPECT_EQ(ids, first);
}

TEST(PublishedTest, TrainedGguf) {
  PUNA_SHARED_OR_SKIP(path, "data/models/tinystories-656K/TinyStories-656K-Q8_0.gguf");
  PUNA_SHARED_OR_SKIP(golden_path, "data/models/tinystories-656K/golden.json");
  const auto file = gguf::File::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto made = Tokenizer::FromGguf(**file);
  ASSERT_TRUE(made) << made.error().message;
  const Tokenizer& tokenizer = **made;
  const auto golden = nlohmann::json::parse(ReadFile(golden_path));
  ASSERT_FALSE(golden["cases"].empty());
  for (const auto& example : golden["cases"]) {
    EXPECT_EQ(Encode(tokenizer, example["prompt"].get<std::string>(), {.add_special = true}),
              example["prompt_ids"].get<std::vector<TokenId>>());
    auto ids = example["greedy_ids"].get<std::vector<TokenId>>();
    StreamDecoder decoder(tokenizer, /*continues_text=*/true, /*with_special=*/true);
    std::string text;
    for (const TokenId id : ids) text += decoder.Push(id);
    EXPECT_EQ(text + decoder.Finish(), example["greedy_text"].get<std::string>());
  }
}

// tiktoken merges whatever pair forms the token of lowest rank; the merge that makes a token is
// found by encoding the token's bytes with all lower ranks, which leaves two parts.
SmallVocabulary ReadTiktoken(const std::filesystem::path& path, std::string_view pre) {
  SmallVocabulary v(Algorithm::kBytePairs);
  v.source().pre = pre;
  std::unordered_map<std::string, size_t> ranks;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const auto decoded = DecodeBase64(line.substr(0, line.find(' ')));
    EXPECT_TRUE(decoded) << line;
    if (!decoded) break;
    const std::string& token = *decoded;
    const size_t rank = ranks.size();
    ranks[token] = rank;
    v.Add(SpellBytes(token));
    std::vector<std::string> parts;
    for (const char c : token) parts.emplace_back(1, c);
    while (parts.size() > 2) {
      size_t best = 0;
      size_t best_rank = SIZE_MAX;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = ranks.find(parts[i] + parts[i + 1]);
        if (found != ranks.end() && found->second < best_rank && found->second < rank) {
          best = i;
          best_rank = found->second;
        }
      }
      if (best_rank == SIZE_MAX) break;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
    if (parts.size() == 2) v.AddMerge(SpellBytes(parts[0]), SpellBytes(parts[1]));
  }
  return v;
}

// The examples of OpenAI's guide "How to count tokens with tiktoken". cl100k is cut as Llama 3 is.
TEST(PublishedTest, TiktokenCl100k) {
  PUNA_SHARED_OR_SKIP(path, "data/vocab/o200k/cl100k_base.tiktoken");
  const auto tokenizer = ReadTiktoken(path, "dbrx").Make();
  EXPECT_THAT(Encode(*tokenizer, "tiktoken is great!"), ElementsAre(83, 1609, 5963, 374, 2294, 0));
  EXPECT_THAT(Encode(*tokenizer, "hello world"), ElementsAre(15339, 1917));
  EXPECT_THAT(Encode(*tokenizer, "antidisestablishmentarianism"),
              ElementsAre(519, 85342, 34500, 479, 8997, 2191));
  EXPECT_THAT(Encode(*tokenizer, "2 + 2 = 4"), ElementsAre(17, 489, 220, 17, 284, 220, 19));
  EXPECT_THAT(Encode(*tokenizer, "お誕生日おめでとう"),
              ElementsAre(33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699));
}

TEST(PublishedTest, TiktokenO200k) {
  PUNA_SHARED_OR_SKIP(path, "data/vocab/o200k/o200k_base.tiktoken");
  const auto tokenizer = ReadTiktoken(path, "gpt-4o").Make();
  EXPECT_THAT(Encode(*tokenizer, "antidisestablishmentarianism"),
              ElementsAre(493, 129901, 376, 160388, 21203, 2367));
  EXPECT_THAT(Encode(*tokenizer, "2 + 2 = 4"), ElementsAre(17, 659, 220, 17, 314, 220, 19));
  EXPECT_THAT(Encode(*tokenizer, "お誕生日おめでとう"),
              ElementsAre(8930, 9697, 243, 128225, 8930, 17693, 4344, 48669));
}

}  // namespace
}  // namespace puna::tokenizer
