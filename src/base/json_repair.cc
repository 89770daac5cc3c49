#include "base/json_repair.h"

#include "base/hex.h"
#include "base/utf8.h"

namespace puna {
namespace {

// What the escape \uXXXX at the front of `text` stands for; nothing where there is none.
std::optional<uint32_t> EscapedUnit(std::string_view text) {
  if (!text.starts_with("\\u")) return std::nullopt;
  return ReadHex(text.substr(2), 4);
}

bool IsHighSurrogate(uint32_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLowSurrogate(uint32_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

// What stands at the front of a text inside of a string: its length, and whether it is to be
// replaced.
struct Piece {
  size_t length = 1;
  bool broken = false;
};

Piece PieceOfString(std::string_view text) {
  constexpr size_t kEscapeLength = 6;  // of \uXXXX
  if (static_cast<unsigned char>(text[0]) >= 0x80) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    return {decoded.length_bytes, !decoded.valid};
  }
  if (text[0] != '\\') return {};
  const std::optional<uint32_t> unit = EscapedUnit(text);
  if (!unit) return {.length = 2};
  if (!IsHighSurrogate(*unit)) return {kEscapeLength, IsLowSurrogate(*unit)};
  const std::optional<uint32_t> next = EscapedUnit(text.substr(kEscapeLength));
  if (next && IsLowSurrogate(*next)) return {.length = 2 * kEscapeLength};
  return {kEscapeLength, true};
}

}  // namespace

std::optional<std::string> RepairJsonStrings(std::string_view text) {
  std::string repaired;
  size_t copied = 0;  // bytes of the text that `repaired` has already
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      in_string = !in_string;
      ++i;
      continue;
    }
    const Piece piece = in_string ? PieceOfString(text.substr(i)) : Piece();
    if (piece.broken) {
      repaired.append(text.substr(copied, i - copied));
      AppendUtf8(0xFFFD, &repaired);
      copied = i + piece.length;
    }
    i += piece.length;
  }
  if (copied == 0) return std::nullopt;
  repaired.append(text.substr(copied));
  return repaired;
}

}  // namespace puna
