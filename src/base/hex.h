// Hexadecimal digits in text, and the percent-encoding of URLs. Thread safe, no state.
#ifndef PUNA_BASE_HEX_H_
#define PUNA_BASE_HEX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace puna {

// -1 for what is no hexadecimal digit.
inline int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The number that the first `digits` (at most 8) bytes of `text` write; nothing if they do not.
inline std::optional<uint32_t> ReadHex(std::string_view text, size_t digits) {
  if (text.size() < digits || digits > 8) return std::nullopt;
  uint32_t value = 0;
  for (const char c : text.substr(0, digits)) {
    const int digit = HexDigit(c);
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return value;
}

// Two lower-case digits for each byte.
inline std::string WriteHex(std::span<const uint8_t> bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// %XX becomes its byte; a malformed escape stays as it is.
inline std::string PercentDecoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' ? ReadHex(text.substr(i + 1), 2) : std::nullopt;
    out += byte ? static_cast<char>(*byte) : text[i];
    if (byte) i += 2;
  }
  return out;
}

}  // namespace puna

#endif  // PUNA_BASE_HEX_H_
