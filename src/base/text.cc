#include "base/text.h"

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
