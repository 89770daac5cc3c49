// PLaMo 2 and 3 ("plamo2"): the sequence of tokens with the highest sum of scores, of the text as
// it is.
#ifndef PUNA_TOKENIZER_PLAMO_H_
#define PUNA_TOKENIZER_PLAMO_H_

#include <memory>

#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

Result<std::unique_ptr<const Tokenizer>> MakePlamoTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_PLAMO_H_
