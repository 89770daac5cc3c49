// Tokenizers as Hugging Face's models bring them, to the tokenizer keys of GGUF.
#ifndef PUNA_STORE_CONVERT_HF_TOKENIZER_H_
#define PUNA_STORE_CONVERT_HF_TOKENIZER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_stream.h"
#include "store/convert/checkpoint.h"

namespace puna::store {

// GGUF's numbers (tokenizer.ggml.token_type).
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct TokenizerDraft {
  std::string model;  // tokenizer.ggml.model: gpt2, llama, t5 or bert
  std::string pre;    // of gpt2 only
  std::vector<std::string> tokens;
  std::vector<TokenType> types;
  std::vector<float> scores;  // llama and t5
  std::vector<std::string> merges;
  std::vector<uint8_t> charsmap;
  std::map<std::string, uint32_t> ids;  // "bos" -> id, as in tokenizer.ggml.bos_token_id
  std::map<std::string, bool> flags;    // "add_bos_token" and so on
  std::string first, last;  // special tokens that tokenizer.json puts around a text; empty: none
};

// The text of tokenizer.json.
Result<TokenizerDraft> ParseTokenizerJson(std::string_view text);
// The bytes of tokenizer.model: a SentencePiece model (a protocol buffer).
Result<TokenizerDraft> ParseSentencePiece(std::string_view bytes);
// The value of tokenizer.ggml.pre for the splitting expressions of a tokenizer.json, joined by
// newlines; nothing if they are not known.
std::optional<std::string_view> FindPreTokenizer(std::string_view expressions, bool ignore_merges);

// Sets everything below tokenizer.* for a model with `rows` rows of embeddings, which may be more
// than there are tokens. Added tokens without embeddings are left out. Nothing to set is not an
// error: then the model has no vocabulary, of which a sentence in `warnings` tells.
Status SetTokenizer(const Checkpoint& checkpoint, int64_t rows, gguf::StreamWriter* metadata,
                    std::vector<std::string>* warnings);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_HF_TOKENIZER_H_
