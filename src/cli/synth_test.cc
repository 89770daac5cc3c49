#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/random_blocks.h"
#include "cli/word_answers.h"
#include "tokenizer/vocabulary.h"

namespace puna::cli {
namespace {

using quant::TensorType;

TEST(RandomBlocksTest, ValuesHaveTheVarianceThatKeepsProductsInSize) {
  constexpr int64_t kColumns = 512, kElements = kColumns * 256;
  for (const char* name : {"F32", "F16", "Q8_0", "Q4_K", "Q6_K"}) {
    const quant::TypeTraits& traits = *quant::FindTypeByName(name);
    RandomBlocks random(1);
    const auto bytes = random.Matrix(traits.type, kColumns, kElements);
    std::vector<float> values(kElements);
    traits.decode(bytes.data(), kElements, values.data());
    double squares = 0;
    for (const float value : values) squares += static_cast<double>(value) * value;
    EXPECT_NEAR(squares / kElements * kColumns, 1, 0.05) << name;
  }
}

TEST(RandomBlocksTest, RowsDifferAndSeedsRepeat) {
  RandomBlocks a(1), b(1), c(2);
  const auto matrix = a.Matrix(TensorType::kQ4_K, 1024, 1024 * 64);
  EXPECT_EQ(matrix, b.Matrix(TensorType::kQ4_K, 1024, 1024 * 64));
  EXPECT_NE(matrix, c.Matrix(TensorType::kQ4_K, 1024, 1024 * 64));
  const size_t row_bytes = matrix.size() / 64;
  std::set<std::vector<uint8_t>> rows;
  for (size_t row = 0; row < 64; ++row) {
    rows.emplace(matrix.begin() + static_cast<ptrdiff_t>(row * row_bytes),
                 matrix.begin() + static_cast<ptrdiff_t>((row + 1) * row_bytes));
  }
  EXPECT_EQ(rows.size(), 64u);
}

std::string WordOf(int number) {
  std::string word = "aaa";
  for (char& letter : word) {
    letter = static_cast<char>('a' + number % 26);
    number /= 26;
  }
  return word;
}

// The characters that words are made of, and words with a space before them, whole or in two.
std::shared_ptr<const tokenizer::Tokenizer> MakeTokenizer(int words) {
  static std::vector<std::string> texts;
  texts = {"<unk>", "\xE2\x96\x81"};
  for (char letter = 'a'; letter <= 'z'; ++letter) texts.emplace_back(1, letter);
  std::vector<std::string> parts;
  for (int i = 0; i < words; ++i) {
    const std::string word = "\xE2\x96\x81" + WordOf(i);
    for (size_t size = 4; size <= word.size(); ++size) parts.push_back(word.substr(0, size));
  }
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  texts.insert(texts.end(), parts.begin(), parts.end());
  tokenizer::VocabularySource source;
  source.algorithm = tokenizer::Algorithm::kSentencePiece;
  source.unknown = 0;
  source.add_space_prefix = false;
  for (const std::string& text : texts) {
    source.tokens.push_back(text);
    source.scores.push_back(-static_cast<float>(source.tokens.size()));
    source.types.push_back(1);
  }
  return *tokenizer::Tokenizer::New(source);
}

TEST(WordAnswersTest, AllWordsAreInOneCircle) {
  const auto tokenizer = MakeTokenizer(150);
  const auto answers = WordAnswers::New(*tokenizer, 1);
  ASSERT_TRUE(answers) << answers.error().message;
  const auto& after = answers->after();
  ASSERT_EQ(static_cast<int64_t>(after.size()), tokenizer->vocabulary_size());
  const std::set<tokenizer::TokenId> words(after.begin(), after.end());
  EXPECT_EQ(words.size(), 150u);
  tokenizer::TokenId at = after[0];
  std::set<tokenizer::TokenId> seen;
  while (seen.insert(at).second) at = after[static_cast<size_t>(at)];
  EXPECT_EQ(seen, words);
}

TEST(WordAnswersTest, ATokenIsAnsweredByItsWord) {
  const auto tokenizer = MakeTokenizer(150);
  const auto answers = WordAnswers::New(*tokenizer, 1);
  ASSERT_TRUE(answers);
  constexpr int64_t kColumns = 1024;
  const auto rows = static_cast<int64_t>(answers->after().size());
  const auto decode = [&](const char* name, bool output) {
    const quant::TypeTraits& traits = *quant::FindTypeByName(name);
    const auto bytes =
        output ? answers->Output(traits.type, kColumns) : answers->Embedding(traits.type, kColumns);
    std::vector<float> values(static_cast<size_t>(rows * kColumns));
    traits.decode(bytes.data(), rows * kColumns, values.data());
    return values;
  };
  const std::vector<float> embedding = decode("Q4_K", false), output = decode("Q6_K", true);
  const auto dot = [](const float* a, const float* b) {
    double sum = 0;
    for (int64_t i = 0; i < kColumns; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  };
  for (int64_t token = 0; token < rows; ++token) {
    const float* state = &embedding[static_cast<size_t>(token * kColumns)];
    const double length = std::sqrt(dot(state, state) / kColumns);
    for (int64_t row = 0; row < rows; ++row) {
      const double logit = dot(state, &output[static_cast<size_t>(row * kColumns)]) / length;
      if (row == answers->after()[static_cast<size_t>(token)]) {
        EXPECT_GT(logit, 9);
      } else {
        EXPECT_LT(logit, 6) << row << " after " << token;
      }
    }
  }
}

TEST(WordAnswersTest, AVocabularyWithoutWordsIsRefused) {
  const auto answers = WordAnswers::New(*MakeTokenizer(40), 1);
  ASSERT_FALSE(answers);
  EXPECT_NE(answers.error().message.find("40 whole words"), std::string::npos);
}

}  // namespace
}  // namespace puna::cli
