#include "tokenizer/unicode_classes.h"

#include <utf8proc.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/utf8.h"

namespace puna::tokenizer {
namespace {

ClassMask MaskOfCategory(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kLetter | kUpperOrNone;
    case UTF8PROC_CATEGORY_LL:
      return kLetter | kLowerOrNone;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter | kUpperOrNone | kLowerOrNone;
    case UTF8PROC_CATEGORY_MN:
      return kMark | kNonspacing | kUpperOrNone | kLowerOrNone;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark | kUpperOrNone | kLowerOrNone;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
      return kControl;
    default:
      return 0;
  }
}

struct CodepointRange {
  char32_t first, last;
};

// Property White_Space of the Unicode Character Database (PropList.txt).
constexpr CodepointRange kWhiteSpace[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

// Script Han of the Unicode Character Database (Scripts.txt, version 15); utf8proc has no scripts.
constexpr CodepointRange kHanScript[] = {
    {0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},   {0x3005, 0x3005},
    {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303B},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
    {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D},
    {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A},
    {0x31350, 0x323AF}};

}  // namespace

UnicodeClasses::UnicodeClasses() {
  std::vector<ClassMask> all(0x110000);
  for (size_t c = 0; c < all.size(); ++c) {
    all[c] = MaskOfCategory(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
  }
  for (const CodepointRange range : kWhiteSpace) {
    for (char32_t c = range.first; c <= range.last; ++c) all[c] |= kSpace;
  }
  for (const CodepointRange range : kHanScript) {
    for (char32_t c = range.first; c <= range.last; ++c) all[c] |= kHan;
  }
  all['\r'] |= kNewline;
  all['\n'] |= kNewline;
  for (size_t c = 0; c < ascii_.size(); ++c) {
    if (all[c] & kLetter) all[c] |= kAsciiLetter;
    if (all[c] & kNumber) all[c] |= kAsciiDigit;
    if (all[c] & kSymbol) all[c] |= kAsciiSymbol;
    ascii_[c] = all[c];
  }

  std::map<Page, uint16_t> known;
  std::vector<Page> pages;
  for (size_t page = 0; page < page_of_.size(); ++page) {
    Page content;
    std::memcpy(content.data(), all.data() + page * 256, sizeof(content));
    const auto [it, added] = known.emplace(content, static_cast<uint16_t>(pages.size()));
    if (added) pages.push_back(content);
    page_of_[page] = it->second;
  }
  pages_ = std::make_unique<Page[]>(pages.size());
  for (size_t i = 0; i < pages.size(); ++i) pages_[i] = pages[i];
}

const UnicodeClasses& UnicodeClasses::Get() {
  static const UnicodeClasses classes;
  return classes;
}

char32_t ToLower(char32_t codepoint) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(codepoint)));
}

void AppendDecomposed(char32_t codepoint, std::u32string* out) {
  utf8proc_int32_t buffer[8];
  int boundary_class = 0;
  const utf8proc_ssize_t written = utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(codepoint), buffer, 8,
      static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE), &boundary_class);
  if (written <= 0 || written > 8) {
    out->push_back(codepoint);
    return;
  }
  for (utf8proc_ssize_t i = 0; i < written; ++i) out->push_back(static_cast<char32_t>(buffer[i]));
}

bool IsValidUtf8Fast(const char* data, size_t size) {
  size_t i = 0;
  while (i < size) {
    if (size - i >= 8) {
      uint64_t chunk;
      std::memcpy(&chunk, data + i, 8);
      if ((chunk & 0x8080808080808080) == 0) {
        i += 8;
        continue;
      }
    }
    if (static_cast<uint8_t>(data[i]) < 0x80) {
      ++i;
      continue;
    }
    const DecodedCodepoint decoded = DecodeUtf8({data + i, size - i});
    if (!decoded.valid) return false;
    i += decoded.length_bytes;
  }
  return true;
}

}  // namespace puna::tokenizer
