// The row of the output matrix for a word is the sum of the embeddings of the tokens that it
// follows: the word before it in the circle, and a few tokens that are none. The residual stream
// keeps the embedding of the last token, because the layers add far less, so that this word gets
// the highest logit.
//
// A row is a stretch of one long list of random numbers, from a place that the token chooses, so
// that the same row can be made again in another type.
#include "cli/word_answers.h"

#include <algorithm>
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
// Deviation of a value of the embedding. A layer adds values with a variance of about one, so
// that after 32 layers nine tenths of the stream's variance are still the embedding's.
constexpr float kEmbeddingDeviation = 16;
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

// Where a token's numbers begin: no two of up to kPlaces tokens begin at the same place, because
// the factor is odd.
uint64_t Place(uint64_t seed, TokenId token) {
  return (static_cast<uint64_t>(token) * 0x9E3779B97F4A7C15 + seed) % kPlaces;
}

// Writes rows one after the other.
class RowEncoder {
 public:
  RowEncoder(quant::TensorType type, int64_t columns, size_t rows)
      : type_(type), columns_(columns), values_(static_cast<size_t>(columns)) {
    CHECK(columns <= kMostColumns) << columns << " columns";
    bytes_.reserve(rows * static_cast<size_t>(quant::BytesFor(type, columns)));
  }
  // Adds the numbers of a token to the row.
  void Add(std::span<const float> numbers, uint64_t seed, TokenId token, float factor) {
    const uint64_t place = Place(seed, token);
    for (size_t i = 0; i < values_.size(); ++i) values_[i] += factor * numbers[place + i];
  }
  void EndRow() {
    const size_t at = bytes_.size();
    bytes_.resize(at + static_cast<size_t>(quant::BytesFor(type_, columns_)));
    quant::TraitsOf(type_).encode(values_.data(), columns_, nullptr, &bytes_[at]);
    std::fill(values_.begin(), values_.end(), 0.0F);
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
  for (TokenId id = 0; id < tokenizer.vocabulary_size(); ++id)
    answers.after_.push_back(words[random() % words.size()]);
  for (size_t i = 0; i < words.size(); ++i)
    answers.after_[static_cast<size_t>(words[i])] = words[(i + 1) % words.size()];
  std::normal_distribution<float> normal;
  answers.numbers_.resize(kPlaces + kMostColumns);
  for (float& number : answers.numbers_) number = normal(random);
  return answers;
}

std::vector<uint8_t> WordAnswers::Embedding(quant::TensorType type, int64_t columns) const {
  RowEncoder rows(type, columns, after_.size());
  for (size_t token = 0; token < after_.size(); ++token) {
    rows.Add(numbers_, seed_, static_cast<TokenId>(token), kEmbeddingDeviation);
    rows.EndRow();
  }
  return rows.Take();
}

// A normalized stream has a length of sqrt(columns), as has a row of numbers, so their product is
// `columns` where they are alike.
std::vector<uint8_t> WordAnswers::Output(quant::TensorType type, int64_t columns) const {
  const float factor = kLeadingLogit / static_cast<float>(columns);
  std::vector<std::vector<TokenId>> before(after_.size());
  for (size_t token = 0; token < after_.size(); ++token)
    before[static_cast<size_t>(after_[token])].push_back(static_cast<TokenId>(token));
  RowEncoder rows(type, columns, after_.size());
  for (size_t token = 0; token < after_.size(); ++token) {
    for (const TokenId id : before[token]) rows.Add(numbers_, seed_, id, factor);
    if (before[token].empty())
      rows.Add(numbers_, seed_, static_cast<TokenId>(token), kQuiet * factor);
    rows.EndRow();
  }
  return rows.Take();
}

}  // namespace puna::cli
