// A word is held back until the space after it, because only then is it known whether it fits. The
// alternative, printing letters at once and taking them back with escape sequences when the line
// runs over, flickers and fails where the cursor cannot go back. Characters of double width
// (Chinese, Japanese) are words of their own: such text has no spaces and may break anywhere.
#include "cli/word_wrap.h"

#include <utf8proc.h>

#include "base/utf8.h"

namespace puna::cli {
namespace {

constexpr std::string_view kFence = "```";

int WidthOf(char32_t codepoint) {
  return utf8proc_charwidth(static_cast<utf8proc_int32_t>(codepoint));
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const DecodedCodepoint next = DecodeUtf8(text);
    width += WidthOf(next.codepoint);
    text.remove_prefix(static_cast<size_t>(next.length_bytes));
  }
  return width;
}

void WordWrapper::EndWord(std::string* out) {
  if (word_.empty()) return;
  if (column_ > 0 && column_ + word_width_ > width_) {
    *out += '\n';
    column_ = 0;
  }
  *out += word_;
  column_ += word_width_;
  word_.clear();
  word_width_ = 0;
}

// A line of ``` begins or ends a block of code.
void WordWrapper::NoteLine(std::string_view character) {
  if (character == "\n") {
    if (line_start_ == kFence) in_code_ = !in_code_;
    line_start_.clear();
  } else if (line_start_.size() < kFence.size() && (character != " " || !line_start_.empty())) {
    line_start_ += character;
  }
}

std::string WordWrapper::Push(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const DecodedCodepoint next = DecodeUtf8(text);
    const std::string_view bytes = text.substr(0, static_cast<size_t>(next.length_bytes));
    text.remove_prefix(bytes.size());
    const int width = WidthOf(next.codepoint);
    const bool was_code = in_code_;
    NoteLine(bytes);
    if (width_ == 0 || was_code) {
      out += bytes;
      column_ = next.codepoint == '\n' ? 0 : column_ + 1;
    } else if (next.codepoint == '\n') {
      EndWord(&out);
      out += '\n';
      column_ = 0;
    } else if (next.codepoint == ' ' || next.codepoint == '\t') {
      EndWord(&out);
      // A space at the end of a full line would begin the next one.
      if (column_ < width_) {
        out += ' ';
        ++column_;
      }
    } else if (width == 2) {
      EndWord(&out);
      word_ = bytes;
      word_width_ = width;
      EndWord(&out);
    } else {
      if (word_width_ + width > width_) EndWord(&out);
      word_ += bytes;
      word_width_ += width;
    }
  }
  return out;
}

std::string WordWrapper::Finish() {
  std::string out;
  EndWord(&out);
  return out;
}

}  // namespace puna::cli
