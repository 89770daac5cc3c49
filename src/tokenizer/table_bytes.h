// The memory that a tokenizer takes, told before it is made: part of what loading a model takes.
#ifndef PUNA_TOKENIZER_TABLE_BYTES_H_
#define PUNA_TOKENIZER_TABLE_BYTES_H_

#include <cstdint>

#include "gguf/gguf.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {

// Of the texts, tables and tries that Tokenizer::New makes of the source, within about a tenth.
int64_t TableBytes(const VocabularySource& source);
// 0 for a file without a vocabulary that can be read.
int64_t TableBytes(const gguf::File& file);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_TABLE_BYTES_H_
