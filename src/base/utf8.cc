#include "base/utf8.h"

namespace puna {
namespace {

// Bytes that a lead byte announces; 0 for bytes that cannot lead.
size_t SequenceLength(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool IsContinuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

}  // namespace

DecodedCodepoint DecodeUtf8(std::string_view text) {
  if (text.empty()) return {0xFFFD, 0, false};
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const size_t length = SequenceLength(byte(0));
  if (length == 1) return {byte(0), 1, true};
  if (length == 0 || text.size() < length) return {};
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(byte(i))) return {};
  }
  char32_t codepoint = byte(0) & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) codepoint = (codepoint << 6) | (byte(i) & 0x3Fu);
  const bool overlong = (length == 3 && codepoint < 0x800) || (length == 4 && codepoint < 0x10000);
  const bool surrogate = codepoint >= 0xD800 && codepoint <= 0xDFFF;
  if (overlong || surrogate || codepoint > 0x10FFFF) return {};
  return {codepoint, length, true};
}

void AppendUtf8(char32_t codepoint, std::string* out) {
  const auto put = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (codepoint < 0x80) {
    put(codepoint);
  } else if (codepoint < 0x800) {
    put(0xC0 | (codepoint >> 6));
    put(0x80 | (codepoint & 0x3F));
  } else if (codepoint < 0x10000) {
    put(0xE0 | (codepoint >> 12));
    put(0x80 | ((codepoint >> 6) & 0x3F));
    put(0x80 | (codepoint & 0x3F));
  } else {
    put(0xF0 | (codepoint >> 18));
    put(0x80 | ((codepoint >> 12) & 0x3F));
    put(0x80 | ((codepoint >> 6) & 0x3F));
    put(0x80 | (codepoint & 0x3F));
  }
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    if (!decoded.valid) return false;
    text.remove_prefix(decoded.length_bytes);
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    if (decoded.valid) {
      out.append(text.substr(0, decoded.length_bytes));
    } else {
      AppendUtf8(0xFFFD, &out);
    }
    text.remove_prefix(decoded.length_bytes);
  }
  return out;
}

size_t CompleteUtf8Prefix(std::string_view text) {
  const size_t size = text.size();
  for (size_t back = 1; back <= 3 && back <= size; ++back) {
    const auto byte = static_cast<uint8_t>(text[size - back]);
    if (IsContinuation(byte)) continue;
    return SequenceLength(byte) > back ? size - back : size;
  }
  return size;
}

}  // namespace puna
