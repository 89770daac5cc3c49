// WordPiece ("bert"): words are cut into the longest tokens from the left.
#ifndef PUNA_TOKENIZER_WORDPIECE_H_
#define PUNA_TOKENIZER_WORDPIECE_H_

#include <memory>

#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

Result<std::unique_ptr<const Tokenizer>> MakeWordPieceTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_WORDPIECE_H_
