// Weights with which a made-up model answers in words.
//
// Random weights answer with random tokens. Their text becomes other tokens when a client sends it
// back, so that the next turn of a chat shares little with the last one, and guesses from repeated
// text meet noise. With these two matrices around random layers, each word of the vocabulary is
// followed by one other, all words in one circle: what is answered is text that is encoded as it
// was generated and repeats nothing for thousands of tokens. The first word is that of the prompt's
// last token.
#ifndef PUNA_CLI_WORD_ANSWERS_H_
#define PUNA_CLI_WORD_ANSWERS_H_

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "quant/quant.h"
#include "tokenizer/tokenizer.h"

namespace puna::cli {

class WordAnswers {
 public:
  // kInvalidArgument if the vocabulary has hardly any words (a space and three or more small
  // letters, encoded as one token).
  static Result<WordAnswers> New(const tokenizer::Tokenizer& tokenizer, uint64_t seed);

  // Rows of `columns` values, one for each token. REQUIRES: columns is at most 65536 and a multiple
  // of the type's block, and the type has an encoder.
  std::vector<uint8_t> Embedding(quant::TensorType type, int64_t columns) const;
  std::vector<uint8_t> Output(quant::TensorType type, int64_t columns) const;

  // The word that follows each token.
  const std::vector<tokenizer::TokenId>& after() const { return after_; }

 private:
  std::vector<float> numbers_;             // normal, what rows are stretches of
  std::vector<tokenizer::TokenId> after_;  // [tokens]
  uint64_t seed_ = 0;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_WORD_ANSWERS_H_
