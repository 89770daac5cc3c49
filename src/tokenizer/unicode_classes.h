// What pre-tokenizers need to know of a character, as bits: one table look-up, with the ASCII part
// first.
//
// The categories are those of utf8proc 2.8 (Unicode 15). White space is the property White_Space,
// which is what the regular expression engines of the training side use; U+180E is therefore not
// white space.
#ifndef PUNA_TOKENIZER_UNICODE_CLASSES_H_
#define PUNA_TOKENIZER_UNICODE_CLASSES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace puna::tokenizer {

using ClassMask = uint16_t;

inline constexpr ClassMask kLetter = 1;         // \p{L}
inline constexpr ClassMask kNumber = 2;         // \p{N}
inline constexpr ClassMask kSpace = 4;          // \s
inline constexpr ClassMask kNewline = 8;        // [\r\n]; also kSpace
inline constexpr ClassMask kMark = 16;          // \p{M}
inline constexpr ClassMask kPunctuation = 32;   // \p{P}
inline constexpr ClassMask kSymbol = 64;        // \p{S}
inline constexpr ClassMask kUpperOrNone = 128;  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
inline constexpr ClassMask kLowerOrNone = 256;  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
inline constexpr ClassMask kHan = 512;          // script Han
inline constexpr ClassMask kControl = 1024;     // \p{Cc}\p{Cf}\p{Co}\p{Cs}
inline constexpr ClassMask kAsciiLetter = 2048;
inline constexpr ClassMask kAsciiDigit = 4096;
inline constexpr ClassMask kAsciiSymbol = 8192;  // [$+<=>^`|~]
inline constexpr ClassMask kNonspacing = 16384;  // \p{Mn}

class UnicodeClasses {
 public:
  // The one table of the process, made at the first call (a few milliseconds). Thread safe.
  static const UnicodeClasses& Get();

  ClassMask OfAscii(uint8_t byte) const { return ascii_[byte]; }
  ClassMask Of(char32_t codepoint) const {
    return codepoint < 0x110000 ? pages_[page_of_[codepoint >> 8]][codepoint & 0xFF] : ClassMask{0};
  }

 private:
  UnicodeClasses();
  using Page = std::array<ClassMask, 256>;
  std::array<ClassMask, 128> ascii_;
  std::array<uint16_t, 0x1100> page_of_;
  std::unique_ptr<Page[]> pages_;  // equal pages are stored once
};

// Simple (one to one) lower case.
char32_t ToLower(char32_t codepoint);

// Appends the canonical decomposition (NFD) of one character: at most 4 code points. Marks are not
// reordered.
void AppendDecomposed(char32_t codepoint, std::u32string* out);

// Is every byte of `text` part of well-formed UTF-8? Eight ASCII bytes at a time.
bool IsValidUtf8Fast(const char* data, size_t size);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_UNICODE_CLASSES_H_
