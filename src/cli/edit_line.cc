#include "cli/edit_line.h"

#include <utf8proc.h>

#include <algorithm>
#include <cctype>

#include "base/utf8.h"

namespace puna::cli {
namespace {

constexpr char32_t kEmojiStyle = 0xFE0F;  // after a sign: as a picture, which is wide
constexpr int kTabColumns = 8;

bool IsWordByte(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c)) != 0;
}

struct Shown {
  std::string text;
  int width = 0;
};

// How a character looks at a column of a row.
Shown ShownAs(std::string_view character, int column) {
  if (character == "\t") {
    const int width = kTabColumns - column % kTabColumns;
    return {std::string(static_cast<size_t>(width), ' '), width};
  }
  Shown shown;
  while (!character.empty()) {
    const DecodedCodepoint next = DecodeUtf8(character);
    const auto bytes = character.substr(0, next.length_bytes);
    character.remove_prefix(next.length_bytes);
    if (next.codepoint < 0x20 || next.codepoint == 0x7F) {
      shown.text += {'^', static_cast<char>(next.codepoint ^ 0x40)};
      shown.width += 2;
    } else if (!next.valid) {
      AppendUtf8(next.codepoint, &shown.text);
      shown.width += 1;
    } else {
      shown.text += bytes;
      shown.width += utf8proc_charwidth(static_cast<utf8proc_int32_t>(next.codepoint));
      if (next.codepoint == kEmojiStyle) shown.width = std::max(shown.width, 2);
    }
  }
  return shown;
}

}  // namespace

size_t CharacterBytes(std::string_view text) {
  if (text.empty()) return 0;
  DecodedCodepoint last = DecodeUtf8(text);
  size_t length = last.length_bytes;
  utf8proc_int32_t state = 0;
  while (length < text.size() && last.valid) {
    const DecodedCodepoint next = DecodeUtf8(text.substr(length));
    if (!next.valid ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.codepoint),
                                         static_cast<utf8proc_int32_t>(next.codepoint), &state)) {
      break;
    }
    length += next.length_bytes;
    last = next;
  }
  return length;
}

void EditLine::Set(std::string text) {
  text_ = std::move(text);
  cursor_ = text_.size();
}

void EditLine::Insert(std::string_view text) {
  text_.insert(cursor_, text);
  cursor_ += text.size();
  // An accent may have joined the character before it with the one behind.
  size_t at = LineStart(cursor_);
  while (at < cursor_) at = After(at);
  cursor_ = at;
}

size_t EditLine::LineStart(size_t at) const {
  if (at == 0) return 0;
  const size_t found = text_.rfind('\n', at - 1);
  return found == std::string::npos ? 0 : found + 1;
}

size_t EditLine::LineEnd(size_t at) const { return std::min(text_.find('\n', at), text_.size()); }

size_t EditLine::After(size_t at) const {
  return at + CharacterBytes(std::string_view(text_).substr(at));
}

// Characters are found from the front only, so from where one certainly begins.
size_t EditLine::Before(size_t at) const {
  if (at == 0) return 0;
  if (text_[at - 1] == '\n') return at - 1;
  size_t found = LineStart(at);
  for (size_t next = After(found); next < at; next = After(found)) found = next;
  return found;
}

size_t EditLine::WordBefore() const {
  size_t at = cursor_;
  while (at > 0 && !IsWordByte(text_[at - 1])) --at;
  while (at > 0 && IsWordByte(text_[at - 1])) --at;
  return at;
}

size_t EditLine::WordAfter() const {
  size_t at = cursor_;
  while (at < text_.size() && !IsWordByte(text_[at])) ++at;
  while (at < text_.size() && IsWordByte(text_[at])) ++at;
  return at;
}

void EditLine::Home() { cursor_ = LineStart(cursor_); }
void EditLine::End() { cursor_ = LineEnd(cursor_); }

bool EditLine::Up() {
  const size_t start = LineStart(cursor_);
  if (start == 0) return false;
  const size_t column = cursor_ - start;
  const size_t target = std::min(LineStart(start - 1) + column, start - 1);
  cursor_ = LineStart(start - 1);
  while (cursor_ < target) Right();
  return true;
}

bool EditLine::Down() {
  const size_t end = LineEnd(cursor_);
  if (end == text_.size()) return false;
  const size_t target = std::min(end + 1 + (cursor_ - LineStart(cursor_)), LineEnd(end + 1));
  cursor_ = end + 1;
  while (cursor_ < target) Right();
  return true;
}

void EditLine::Erase(size_t begin, size_t end) {
  text_.erase(begin, end - begin);
  cursor_ = begin;
}

void EditLine::Kill(size_t begin, size_t end) {
  if (end > begin) killed_ = text_.substr(begin, end - begin);
  Erase(begin, end);
}

void EditLine::DeleteToSpace() {
  const auto is_space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  size_t at = cursor_;
  while (at > 0 && is_space(text_[at - 1])) --at;
  while (at > 0 && !is_space(text_[at - 1])) --at;
  Kill(at, cursor_);
}

void EditLine::DeleteToStart() { Kill(LineStart(cursor_), cursor_); }
void EditLine::DeleteToEnd() { Kill(cursor_, LineEnd(cursor_)); }

RowLayout LayOut(std::string_view prompt, std::string_view text, size_t cursor, int width) {
  width = std::max(width, 2);
  RowLayout layout{{""}, {0}, 0, 0, ""};
  const auto new_row = [&] {
    layout.rows.emplace_back();
    layout.widths.push_back(0);
  };
  const auto add = [&](std::string_view character) {
    Shown shown = ShownAs(character, layout.widths.back());
    if (layout.widths.back() + shown.width > width) {
      new_row();
      shown = ShownAs(character, 0);
    }
    layout.rows.back() += shown.text;
    layout.widths.back() += shown.width;
  };
  const auto note_cursor = [&] {
    layout.cursor_row = layout.rows.size() - 1;
    layout.cursor_column = layout.widths.back();
    layout.before_cursor = layout.rows.back();
  };
  for (size_t at = 0; at < prompt.size(); at += CharacterBytes(prompt.substr(at)))
    add(prompt.substr(at, CharacterBytes(prompt.substr(at))));
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = CharacterBytes(text.substr(at));
    const std::string_view character = text.substr(at, bytes);
    // A full row is left at once, so that the cursor is where the next character will be.
    if (layout.widths.back() >= width && character != "\n") new_row();
    if (at == cursor) note_cursor();
    if (character == "\n") {
      new_row();
    } else {
      const size_t row = layout.rows.size();
      add(character);
      if (at == cursor && layout.rows.size() > row) {
        layout.cursor_row = row;
        layout.cursor_column = 0;
        layout.before_cursor.clear();
      }
    }
    at += bytes;
  }
  if (cursor >= text.size()) {
    if (layout.widths.back() >= width) new_row();
    note_cursor();
  }
  return layout;
}

}  // namespace puna::cli
