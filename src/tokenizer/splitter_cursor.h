// Walking well-formed UTF-8 by character class; shared by the hand-written splitters.
#ifndef PUNA_TOKENIZER_SPLITTER_CURSOR_H_
#define PUNA_TOKENIZER_SPLITTER_CURSOR_H_

#include <cstdint>
#include <string_view>

#include "tokenizer/unicode_classes.h"

namespace puna::tokenizer {

struct ClassedCharacter {
  ClassMask classes = 0;  // 0 at the end of the text and for unassigned characters
  uint8_t length_bytes = 0;
};

// REQUIRES for everything here: [p, end) is well-formed UTF-8 and p is at a character.
class Cursor {
 public:
  explicit Cursor(std::string_view text)
      : classes_(UnicodeClasses::Get()), begin_(text.data()), end_(text.data() + text.size()) {}

  const char* begin() const { return begin_; }
  const char* end() const { return end_; }

  ClassedCharacter At(const char* p) const {
    if (p >= end_) return {};
    const auto lead = static_cast<uint8_t>(*p);
    if (lead < 0x80) return {classes_.OfAscii(lead), 1};
    return Decode(p);
  }

  // The first character at or after p that has none (Skip) or any (SkipUntil) of the classes.
  const char* Skip(const char* p, ClassMask mask) const {
    for (ClassedCharacter c = At(p); (c.classes & mask) != 0; c = At(p)) p += c.length_bytes;
    return p;
  }
  const char* SkipUntil(const char* p, ClassMask mask) const {
    for (ClassedCharacter c = At(p); c.length_bytes != 0 && (c.classes & mask) == 0; c = At(p))
      p += c.length_bytes;
    return p;
  }

  // As Skip, but at most `count` characters.
  const char* SkipAtMost(const char* p, ClassMask mask, int count) const {
    for (int i = 0; i < count; ++i) {
      const ClassedCharacter c = At(p);
      if ((c.classes & mask) == 0) break;
      p += c.length_bytes;
    }
    return p;
  }

  // The end of an English contraction that starts at p ('s 't 're 've 'm 'll 'd), or p.
  const char* SkipContraction(const char* p, bool ignore_case) const {
    if (end_ - p < 2 || *p != '\'') return p;
    const auto lower = [&](char c) {
      return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    };
    const char first = lower(p[1]);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
    if (end_ - p < 3) return p;
    const char second = lower(p[2]);
    const bool matches = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                         (first == 'l' && second == 'l');
    return matches ? p + 3 : p;
  }

  // What \s*[\r\n]+|\s+(?!\S)|\s+ matches at p (the first alternative only if `newlines`): white
  // space up to the last line break, else all of it at the end of the text, else all but its last
  // character, which belongs to the next word. Returns p if there is no white space.
  const char* SkipWhiteSpace(const char* p, bool newlines) const {
    const char* after_newline = nullptr;
    const char* last = p;
    const char* q = p;
    for (ClassedCharacter c = At(q); (c.classes & kSpace) != 0; c = At(q)) {
      last = q;
      q += c.length_bytes;
      if ((c.classes & kNewline) != 0) after_newline = q;
    }
    if (newlines && after_newline != nullptr) return after_newline;
    if (q == end_ || last == p) return q;
    return last;
  }

 private:
  ClassedCharacter Decode(const char* p) const {
    const auto byte = [&](int i) { return static_cast<char32_t>(static_cast<uint8_t>(p[i])); };
    const char32_t lead = byte(0);
    if (lead < 0xE0) return {classes_.Of(((lead & 0x1F) << 6) | (byte(1) & 0x3F)), 2};
    if (lead < 0xF0) {
      return {classes_.Of(((lead & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F)), 3};
    }
    return {classes_.Of(((lead & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) |
                        (byte(3) & 0x3F)),
            4};
  }

  const UnicodeClasses& classes_;
  const char* begin_;
  const char* end_;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_SPLITTER_CURSOR_H_
