// The byte alphabet of GPT-2: byte-level vocabularies write each byte as one printable character,
// so that tokens are text. The 188 bytes that are printable in Latin-1 stand for themselves; the
// other 68 are U+0100 to U+0143 in order.
// https://github.com/openai/gpt-2/blob/master/src/encoder.py (bytes_to_unicode)
#ifndef PUNA_TOKENIZER_BYTE_ALPHABET_H_
#define PUNA_TOKENIZER_BYTE_ALPHABET_H_

#include <string>
#include <string_view>

namespace puna::tokenizer {

// Appends the bytes that `text` spells. False, with `bytes` unchanged, if a character is not of the
// alphabet.
bool AppendSpelledBytes(std::string_view text, std::string* bytes);

// The reverse: the characters that spell `bytes`.
std::string SpellBytes(std::string_view bytes);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_BYTE_ALPHABET_H_
