// Unigram ("t5"): the sequence of tokens with the highest sum of scores.
#ifndef PUNA_TOKENIZER_UNIGRAM_H_
#define PUNA_TOKENIZER_UNIGRAM_H_

#include <memory>

#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

Result<std::unique_ptr<const Tokenizer>> MakeUnigramTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_UNIGRAM_H_
