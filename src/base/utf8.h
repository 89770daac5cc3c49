// UTF-8 as bytes: validation, decoding, and finding where a cut would split a character. Thread
// safe, no state.
#ifndef PUNA_BASE_UTF8_H_
#define PUNA_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace puna {

struct DecodedCodepoint {
  char32_t codepoint = 0xFFFD;  // U+FFFD for a malformed sequence
  size_t length_bytes =
      1;  // bytes consumed; 1 for a malformed sequence; 0 only at the end of the text
  bool valid = false;
};

// Decodes the character that starts at `text[0]`. Overlong forms, surrogates and values above
// U+10FFFF are malformed.
DecodedCodepoint DecodeUtf8(std::string_view text);

void AppendUtf8(char32_t codepoint, std::string* out);

bool IsValidUtf8(std::string_view text);

// The text with every malformed byte replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

// The length of the longest prefix that does not end inside a character. Only an unfinished
// character at the very end is held back (at most 3 bytes); malformed bytes elsewhere count as
// whole.
size_t CompleteUtf8Prefix(std::string_view text);

}  // namespace puna

#endif  // PUNA_BASE_UTF8_H_
