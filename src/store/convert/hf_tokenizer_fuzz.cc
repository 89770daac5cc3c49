// Bytes as a tokenizer.json if they begin with a brace, else as a SentencePiece model.
#include "store/convert/hf_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto draft = text.starts_with('{') ? puna::store::ParseTokenizerJson(text)
                                           : puna::store::ParseSentencePiece(text);
  if (!draft) return 0;
  if (draft->types.size() != draft->tokens.size()) __builtin_trap();
  if (!draft->scores.empty() && draft->scores.size() != draft->tokens.size()) __builtin_trap();
  return 0;
}
