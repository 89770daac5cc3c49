#include "grammar/unicode_category.h"

#include <utf8proc.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace puna::grammar {
namespace {

constexpr size_t kCategories = 30;  // utf8proc_category_t, Cn to Co

// The sets of all categories in one pass over the characters.
std::array<CharSet, kCategories> MakeCategories() {
  std::array<std::vector<CharRange>, kCategories> ranges;
  for (char32_t c = 0; c <= kLastChar; ++c) {
    const auto category = static_cast<size_t>(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
    if (category >= kCategories) continue;
    std::vector<CharRange>& list = ranges[category];
    if (!list.empty() && list.back().last + 1 == c) {
      list.back().last = c;
    } else {
      list.push_back({c, c});
    }
  }
  std::array<CharSet, kCategories> sets;
  for (size_t i = 0; i < kCategories; ++i) sets[i] = CharSet(std::move(ranges[i]));
  return sets;
}

struct Name {
  std::string_view short_name, long_name;
};
constexpr Name kNames[] = {
    {"C", "Other"},
    {"Cc", "Control"},
    {"Cf", "Format"},
    {"Cn", "Unassigned"},
    {"Co", "Private_Use"},
    {"L", "Letter"},
    {"Ll", "Lowercase_Letter"},
    {"Lm", "Modifier_Letter"},
    {"Lo", "Other_Letter"},
    {"Lt", "Titlecase_Letter"},
    {"Lu", "Uppercase_Letter"},
    {"M", "Mark"},
    {"Mc", "Spacing_Mark"},
    {"Me", "Enclosing_Mark"},
    {"Mn", "Nonspacing_Mark"},
    {"N", "Number"},
    {"Nd", "Decimal_Number"},
    {"Nl", "Letter_Number"},
    {"No", "Other_Number"},
    {"P", "Punctuation"},
    {"Pc", "Connector_Punctuation"},
    {"Pd", "Dash_Punctuation"},
    {"Pe", "Close_Punctuation"},
    {"Pf", "Final_Punctuation"},
    {"Pi", "Initial_Punctuation"},
    {"Po", "Other_Punctuation"},
    {"Ps", "Open_Punctuation"},
    {"S", "Symbol"},
    {"Sc", "Currency_Symbol"},
    {"Sk", "Modifier_Symbol"},
    {"Sm", "Math_Symbol"},
    {"So", "Other_Symbol"},
    {"Z", "Separator"},
    {"Zl", "Line_Separator"},
    {"Zp", "Paragraph_Separator"},
    {"Zs", "Space_Separator"},
    // aliases
    {"Nd", "digit"},
    {"P", "punct"},
    {"Cc", "cntrl"},
};

std::string_view ShortName(std::string_view name) {
  for (const Name& row : kNames) {
    if (name == row.short_name || name == row.long_name) return row.short_name;
  }
  return {};
}

}  // namespace

std::optional<CharSet> CharsOfCategory(std::string_view name) {
  for (const std::string_view prefix : {"General_Category=", "gc="}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  const std::string_view wanted = ShortName(name);
  if (wanted.empty()) return std::nullopt;
  static const std::array<CharSet, kCategories> kSets = MakeCategories();
  CharSet all;
  // utf8proc numbers the categories in this order.
  static constexpr std::string_view kOrder[kCategories] = {
      "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
      "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};
  for (size_t i = 0; i < kCategories; ++i) {
    if (kOrder[i].starts_with(wanted)) all = all.Union(kSets[i]);
  }
  return all;
}

}  // namespace puna::grammar
