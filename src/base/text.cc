#include "base/text.h"

#include <fmt/format.h>

#include <cstring>

#include "base/utf8.h"

namespace puna {
namespace {

// Of a word: more than a path, a digest or an address usually has. Of a text: more than anybody
// reads.
constexpr size_t kMaxWordBytes = 320, kMaxTextBytes = 4096, kTailBytes = 40;

// The beginning and the end of `text`, at most `limit` bytes, cut between characters.
std::string Abbreviate(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  const std::string_view head = text.substr(0, limit - kTailBytes - 3);
  std::string_view tail = text.substr(text.size() - kTailBytes);
  while (!tail.empty() && (static_cast<unsigned char>(tail[0]) & 0xC0) == 0x80)
    tail.remove_prefix(1);
  return std::string(head.substr(0, CompleteUtf8Prefix(head))) + "..." + std::string(tail);
}

}  // namespace

size_t FindText(std::string_view text, std::string_view part, size_t from) {
  // memmem wants an address of both.
  if (from > text.size() || part.size() > text.size() - from) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t FindLastText(std::string_view text, std::string_view part) {
  if (part.size() <= 1 || part.size() >= text.size()) return text.rfind(part);
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_part(part.rbegin(), part.rend());
  const size_t behind = FindText(reversed_text, reversed_part);
  return behind == std::string_view::npos ? behind : text.size() - part.size() - behind;
}

std::string OnOneLine(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    const std::string_view character = text.substr(0, decoded.length_bytes);
    const char32_t c = decoded.codepoint;
    if (decoded.valid && c >= 0x20 && (c < 0x7F || c > 0x9F)) {
      out += character;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else {
      for (const char byte : character)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    }
    text.remove_prefix(character.size());
  }
  return out;
}

std::string Shortened(std::string_view message) {
  std::string out;
  while (!message.empty()) {
    const size_t end = std::min(message.find_first_of(" \t\n"), message.size());
    out += Abbreviate(message.substr(0, end), kMaxWordBytes);
    message.remove_prefix(end);
    const size_t next = std::min(message.find_first_not_of(" \t\n"), message.size());
    out += message.substr(0, next);
    message.remove_prefix(next);
  }
  return Abbreviate(out, kMaxTextBytes);
}

}  // namespace puna
