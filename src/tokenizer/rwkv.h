// RWKV ("rwkv"): the longest token at each place.
#ifndef PUNA_TOKENIZER_RWKV_H_
#define PUNA_TOKENIZER_RWKV_H_

#include <memory>

#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

Result<std::unique_ptr<const Tokenizer>> MakeRwkvTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_RWKV_H_
