// The row of the output matrix for a word is the row of the embedding for the word before it. The
// residual stream keeps the embedding of a word, because the layers add far less, so that the next
// one gets the highest logit. Tokens that are no words have small embeddings: which word follows
// them is left to the layers, and so to what came before.
//
// A row is a stretch of one long list of random numbers, from a place that the token chooses, so
// that the same row can be made again in another type.
#include "cli/word_answers.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <utility>

#include "base/check.h"

namespace puna::cli {
namespace {

using tokenizer::TokenId;

constexpr uint64_t kPlaces = uint64_t{1} << 20;
constexpr int64_t kMostColumns = 1 << 16;
constexpr size_t kLeastWords = 100;
// Deviation of a value of a word's embedding. A layer adds values with a variance of about one, so
// that after 32 layers nine tenths of the stream's variance are still the embedding's.
constexpr float kWordDeviation = 16, kOtherDeviation = 1;
// The logit of the next word. A vocabulary of 128k tokens with logits near 0 weighs as much as one
// of 11.8: drawn at temperature 1, about every second token is the next word.
constexpr float kLeadingLogit = 12;
// Of the logits of tokens that are no words beside those of words.
constexpr float kQuiet = 0.05F;

bool IsWord(std::string_view piece) {
  return piece.size() >= 4 && piece[0] == ' ' &&
         std::all_of(piece.begin() + 1, piece.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

std::vector<TokenId> Words(const tokenizer::Tokenizer& tokenizer) {
  std::vector<TokenId> words, before, encoded;
  tokenizer.Encode("x", {}, &before);
  for (TokenId id = 0; id < tokenizer.vocabulary_size(); ++id) {
    const std::string piece(tokenizer.PieceOf(id));
    if (tokenizer.KindOf(id) != tokenizer::TokenKind::kNormal || !IsWord(piece)) continue;
    encoded.clear();
    tokenizer.Encode("x" + piece, {}, &encoded);
    if (encoded.size() == before.size() + 1 && encoded.back() == id &&
        std::equal(before.begin(), before.end(), encoded.begin()))
      words.push_back(id);
  }
  return words;
}

// Splitmix64 of https://prng.di.unimi.it/splitmix64.c
uint64_t Mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

// Writes rows that are given by their values one after the other.
class RowEncoder {
 public:
  RowEncoder(quant::TensorType type, int64_t columns, size_t rows)
      : type_(type), columns_(columns), values_(static_cast<size_t>(columns)) {
    CHECK(columns <= kMostColumns) << columns << " columns";
    bytes_.reserve(rows * static_cast<size_t>(quant::BytesFor(type, columns)));
  }
  void Append(std::span<const float> numbers, uint64_t seed, TokenId token, float factor) {
    const uint64_t place = Mix(seed ^ Mix(static_cast<uint64_t>(token))) % kPlaces;
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = factor * numbers[place + i];
    const size_t at = bytes_.size();
    bytes_.resize(at + static_cast<size_t>(quant::BytesFor(type_, columns_)));
    quant::TraitsOf(type_).encode(values_.data(), columns_, nullptr, &bytes_[at]);
  }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

 private:
  quant::TensorType type_;
  int64_t columns_;
  std::vector<float> values_;
  std::vector<uint8_t> bytes_;
};

}  // namespace

Result<WordAnswers> WordAnswers::New(const tokenizer::Tokenizer& tokenizer, uint64_t seed) {
  std::vector<TokenId> words = Words(tokenizer);
  if (words.size() < kLeastWords) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the vocabulary has {} whole words in small letters; answers are made of at "
                     "least {}",
                     words.size(), kLeastWords);
  }
  std::mt19937_64 random(seed);
  std::shuffle(words.begin(), words.end(), random);
  WordAnswers answers;
  answers.seed_ = seed;
  answers.before_.assign(static_cast<size_t>(tokenizer.vocabulary_size()), -1);
  for (size_t i = 0; i < words.size(); ++i)
    answers.before_[static_cast<size_t>(words[(i + 1) % words.size()])] = words[i];
  std::normal_distribution<float> normal;
  answers.numbers_.resize(kPlaces + kMostColumns);
  for (float& number : answers.numbers_) number = normal(random);
  return answers;
}

std::vector<uint8_t> WordAnswers::Embedding(quant::TensorType type, int64_t columns) const {
  RowEncoder rows(type, columns, before_.size());
  for (size_t token = 0; token < before_.size(); ++token) {
    rows.Append(numbers_, seed_, static_cast<TokenId>(token),
                before_[token] >= 0 ? kWordDeviation : kOtherDeviation);
  }
  return rows.Take();
}

// A normalized stream has a length of sqrt(columns), as has a row of numbers, so their product is
// `columns` where they are alike.
std::vector<uint8_t> WordAnswers::Output(quant::TensorType type, int64_t columns) const {
  const float factor = kLeadingLogit / static_cast<float>(columns);
  RowEncoder rows(type, columns, before_.size());
  for (size_t token = 0; token < before_.size(); ++token) {
    if (before_[token] >= 0) {
      rows.Append(numbers_, seed_, before_[token], factor);
    } else {
      rows.Append(numbers_, seed_, static_cast<TokenId>(token), kQuiet * factor);
    }
  }
  return rows.Take();
}

}  // namespace puna::cli
