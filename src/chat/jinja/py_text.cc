// Character classes come from utf8proc's Unicode tables by the definitions in Python's
// documentation (isprintable is "not Other and not Separator except space"); white space is the
// short fixed list below, which is what Python tests. Case mapping is the simple one-to-one mapping
// plus U+00DF; Python's remaining one-to-many mappings (ligatures) do not occur in prompts.
#include "chat/jinja/py_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <charconv>
#include <cmath>
#include <unordered_set>

#include "base/text.h"
#include "base/utf8.h"

namespace puna::chat::jinja {
namespace {

utf8proc_category_t CategoryOf(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Calls `each(codepoint, bytes)` for every character; malformed bytes have codepoint 0xFFFFFFFF.
template <typename Each>
void ForEachCharacter(std::string_view text, Each each) {
  while (!text.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    each(decoded.valid ? decoded.codepoint : char32_t{0xFFFFFFFF},
         text.substr(0, decoded.length_bytes));
    text.remove_prefix(decoded.length_bytes);
  }
}

void AppendUpper(char32_t c, std::string_view bytes, std::string* out) {
  if (c == 0xFFFFFFFF) {
    out->append(bytes);
  } else if (c == 0xDF) {
    out->append("SS");
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))), out);
  }
}

void AppendLower(char32_t c, std::string_view bytes, std::string* out) {
  if (c == 0xFFFFFFFF) {
    out->append(bytes);
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

bool IsCased(char32_t c) {
  return IsPyUpper(c) || IsPyLower(c) || (c != 0xFFFFFFFF && CategoryOf(c) == UTF8PROC_CATEGORY_LT);
}

// The last character of a text that is not empty.
std::string_view LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80)
    --begin;
  const std::string_view last = text.substr(begin);
  if (DecodeUtf8(last).length_bytes == last.size()) return last;
  return text.substr(text.size() - 1);
}

bool IsSpace(std::string_view character) {
  const DecodedCodepoint decoded = DecodeUtf8(character);
  return decoded.valid && IsPySpace(decoded.codepoint);
}

std::string_view StripWhile(std::string_view text, bool left, bool right, const auto& stripped) {
  while (left && !text.empty()) {
    const std::string_view first = text.substr(0, DecodeUtf8(text).length_bytes);
    if (!stripped(first)) break;
    text.remove_prefix(first.size());
  }
  while (right && !text.empty()) {
    const std::string_view last = LastCharacter(text);
    if (!stripped(last)) break;
    text.remove_suffix(last.size());
  }
  return text;
}

}  // namespace

bool IsPySpace(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsPyPrintable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  if (c == 0xFFFFFFFF) return false;
  switch (CategoryOf(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool IsPyAlpha(char32_t c) {
  if (c == 0xFFFFFFFF) return false;
  const auto category = CategoryOf(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool IsPyDecimal(char32_t c) { return c != 0xFFFFFFFF && CategoryOf(c) == UTF8PROC_CATEGORY_ND; }
bool IsPyDigit(char32_t c) {
  return IsPyDecimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
         (c >= 0x2070 && c <= 0x2089 && c != 0x2071);
}
bool IsPyNumeric(char32_t c) {
  if (c == 0xFFFFFFFF) return false;
  const auto category = CategoryOf(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}
bool IsPyUpper(char32_t c) { return c != 0xFFFFFFFF && CategoryOf(c) == UTF8PROC_CATEGORY_LU; }
bool IsPyLower(char32_t c) {
  return c != 0xFFFFFFFF && (CategoryOf(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA);
}

char32_t DecodeOne(std::string_view text) {
  const DecodedCodepoint decoded = DecodeUtf8(text);
  return decoded.valid ? decoded.codepoint : char32_t{0xFFFFFFFF};
}

int64_t CountCodepoints(std::string_view text) {
  int64_t count = 0;
  ForEachCharacter(text, [&](char32_t, std::string_view) { ++count; });
  return count;
}

void Characters::Iterator::Measure() {
  length_ = rest_.empty() ? 0 : DecodeUtf8(rest_).length_bytes;
}

std::string_view SliceCodepoints(std::string_view text, int64_t begin, int64_t end) {
  size_t from = text.size();
  size_t to = text.size();
  int64_t position = 0;
  size_t offset = 0;
  while (offset < text.size() && position < end) {
    if (position == begin) from = offset;
    offset += DecodeUtf8(text.substr(offset)).length_bytes;
    ++position;
  }
  to = offset;
  if (begin >= end || from >= to) return {};
  return text.substr(from, to - from);
}

std::string Upper(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) { AppendUpper(c, bytes, &out); });
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) { AppendLower(c, bytes, &out); });
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    IsPyUpper(c) ? AppendLower(c, bytes, &out) : AppendUpper(c, bytes, &out);
  });
  return out;
}

std::string Capitalize(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    out.empty() ? AppendUpper(c, bytes, &out) : AppendLower(c, bytes, &out);
  });
  return out;
}

std::string Title(std::string_view text) {
  std::string out;
  bool inside_word = false;
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    inside_word ? AppendLower(c, bytes, &out) : AppendUpper(c, bytes, &out);
    inside_word = IsCased(c);
  });
  return out;
}

std::string_view Strip(std::string_view text, const std::string_view* characters, bool left,
                       bool right) {
  if (characters == nullptr) return StripWhile(text, left, right, IsSpace);
  std::unordered_set<std::string_view> set;
  for (const std::string_view character : Characters(*characters)) set.insert(character);
  return StripWhile(text, left, right,
                    [&](std::string_view character) { return set.contains(character); });
}

std::vector<std::string_view> SplitWhitespace(std::string_view text, int64_t max_splits,
                                              size_t most) {
  std::vector<std::string_view> parts;
  text = Strip(text, nullptr, true, false);
  while (!text.empty() && parts.size() <= most) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) >= max_splits) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      const DecodedCodepoint decoded = DecodeUtf8(text.substr(end));
      if (decoded.valid && IsPySpace(decoded.codepoint)) break;
      end += decoded.length_bytes;
    }
    parts.push_back(text.substr(0, end));
    text = Strip(text.substr(end), nullptr, true, false);
  }
  return parts;
}

std::vector<std::string_view> SplitWhitespaceRight(std::string_view text, int64_t max_splits,
                                                   size_t most) {
  std::vector<std::string_view> parts;
  text = Strip(text, nullptr, false, true);
  while (!text.empty() && parts.size() <= most) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) >= max_splits) {
      parts.push_back(text);
      break;
    }
    std::string_view head = text;
    while (!head.empty() && !IsSpace(LastCharacter(head)))
      head.remove_suffix(LastCharacter(head).size());
    parts.push_back(text.substr(head.size()));
    text = Strip(head, nullptr, false, true);
  }
  return {parts.rbegin(), parts.rend()};
}

std::vector<std::string_view> SplitBy(std::string_view text, std::string_view separator,
                                      int64_t max_splits, size_t most) {
  std::vector<std::string_view> parts;
  while (parts.size() <= most &&
         (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits)) {
    const size_t at = FindText(text, separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> SplitByRight(std::string_view text, std::string_view separator,
                                           int64_t max_splits, size_t most) {
  if (separator.size() > text.size()) return {text};
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed(separator.rbegin(), separator.rend());
  std::vector<std::string_view> parts;
  size_t split = 0;  // so much of the end
  while (parts.size() <= most &&
         (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits)) {
    const size_t at = FindText(reversed_text, reversed, split);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(text.size() - at, at - split));
    split = at + separator.size();
  }
  parts.push_back(text.substr(0, text.size() - split));
  return {parts.rbegin(), parts.rend()};
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends, size_t most) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  size_t at = 0;
  while (at < text.size() && lines.size() <= most) {
    const DecodedCodepoint decoded = DecodeUtf8(text.substr(at));
    const char32_t c = decoded.codepoint;
    size_t length = decoded.length_bytes;
    const bool ends = decoded.valid && ((c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) ||
                                        c == 0x85 || c == 0x2028 || c == 0x2029);
    if (ends) {
      if (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n') length = 2;
      lines.push_back(text.substr(begin, at - begin + (keep_ends ? length : 0)));
      begin = at + length;
    }
    at += length;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

int64_t CountMatches(std::string_view text, std::string_view from, int64_t max_count) {
  int64_t count = 0;
  if (from.empty()) {
    count = CountCodepoints(text) + 1;
  } else {
    for (size_t at = FindText(text, from); at != std::string_view::npos;
         at = FindText(text, from, at + from.size()))
      ++count;
  }
  return max_count < 0 ? count : std::min(count, max_count);
}

std::string Replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t max_count) {
  std::string out;
  int64_t count = 0;
  const auto may_replace = [&] { return max_count < 0 || count < max_count; };
  if (from.empty()) {
    for (const std::string_view character : Characters(text)) {
      if (may_replace()) {
        out += to;
        ++count;
      }
      out += character;
    }
    if (may_replace()) out += to;
    return out;
  }
  size_t at = 0;
  while (may_replace()) {
    const size_t found = FindText(text, from, at);
    if (found == std::string_view::npos) break;
    out.append(text, at, found - at);
    out += to;
    at = found + from.size();
    ++count;
  }
  return out.append(text, at);
}

// Python's repr: the shortest digits that read back the same, with an exponent below 1e-4 and from
// 1e16 on.
std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

std::string StringRepr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == 0xFFFFFFFF || IsPyPrintable(c)) {
      out += bytes;
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  });
  return out += quote;
}

std::string HtmlEscape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace puna::chat::jinja
