#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace puna::tokenizer {
namespace {

constexpr int kLetters = 0x144;

struct Alphabet {
  std::array<uint16_t, 256> codepoint_of{};
  std::array<int16_t, kLetters> byte_of{};  // -1: not a letter of the alphabet
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte_of) byte = -1;
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint16_t codepoint = printable ? static_cast<uint16_t>(byte) : next++;
    alphabet.codepoint_of[static_cast<size_t>(byte)] = codepoint;
    alphabet.byte_of[codepoint] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

bool AppendSpelledBytes(std::string_view text, std::string* bytes) {
  const size_t size_before = bytes->size();
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    int byte = -1;
    if (lead < 0x80) {
      byte = kAlphabet.byte_of[lead];
      i += 1;
    } else if (lead >= 0xC2 && lead <= 0xC5 && i + 1 < text.size() &&
               (static_cast<uint8_t>(text[i + 1]) & 0xC0) == 0x80) {
      const int codepoint = ((lead & 0x1F) << 6) | (static_cast<uint8_t>(text[i + 1]) & 0x3F);
      if (codepoint < kLetters) byte = kAlphabet.byte_of[static_cast<size_t>(codepoint)];
      i += 2;
    }
    if (byte < 0) {
      bytes->resize(size_before);
      return false;
    }
    bytes->push_back(static_cast<char>(byte));
  }
  return true;
}

std::string SpellBytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes)
    AppendUtf8(kAlphabet.codepoint_of[static_cast<uint8_t>(byte)], &text);
  return text;
}

}  // namespace puna::tokenizer
