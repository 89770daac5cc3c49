// Byte-pair encoding with ranked merges ("gpt2"; and SentencePiece-style as in Gemma 4).
#ifndef PUNA_TOKENIZER_BPE_H_
#define PUNA_TOKENIZER_BPE_H_

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

// `merges` as in VocabularySource; not kept.
Result<std::unique_ptr<const Tokenizer>> MakeBytePairTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary, const std::vector<std::string_view>& merges);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_BPE_H_
