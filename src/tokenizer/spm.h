// SentencePiece BPE ("llama"): the adjacent pair whose text is the best-scored token is merged.
#ifndef PUNA_TOKENIZER_SPM_H_
#define PUNA_TOKENIZER_SPM_H_

#include <memory>

#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

Result<std::unique_ptr<const Tokenizer>> MakeSentencePieceTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_SPM_H_
