#include "grammar/json_number.h"

#include <algorithm>

namespace puna::grammar {
namespace {

constexpr int64_t kMaxDigits = 1100;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string Decimal::Whole() const {
  if (point <= 0 || is_zero()) return "0";
  std::string whole = digits.substr(0, static_cast<size_t>(point));
  whole.resize(static_cast<size_t>(point), '0');
  return whole;
}

std::string Decimal::Fraction() const {
  if (is_integer()) return "";
  if (point >= 0) return digits.substr(static_cast<size_t>(point));
  return std::string(static_cast<size_t>(-point), '0') + digits;
}

std::string Decimal::Text() const {
  std::string text = negative && !is_zero() ? "-" : "";
  text += Whole();
  if (const std::string fraction = Fraction(); !fraction.empty()) text += "." + fraction;
  return text;
}

std::optional<Decimal> ParseDecimal(std::string_view text) {
  Decimal out;
  size_t at = 0;
  if (!text.empty() && text[0] == '-') {
    out.negative = true;
    ++at;
  }
  const size_t whole_begin = at;
  while (at < text.size() && IsDigit(text[at])) out.digits += text[at++];
  if (at == whole_begin) return std::nullopt;
  out.point = static_cast<int64_t>(out.digits.size());
  if (at < text.size() && text[at] == '.') {
    for (++at; at < text.size() && IsDigit(text[at]); ++at) out.digits += text[at];
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    const bool negative = at < text.size() && text[at] == '-';
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    int64_t exponent = 0;
    for (; at < text.size() && IsDigit(text[at]); ++at)
      exponent = std::min<int64_t>(1'000'000'000, exponent * 10 + (text[at] - '0'));
    out.point += negative ? -exponent : exponent;
  }
  if (at != text.size()) return std::nullopt;
  const size_t first = out.digits.find_first_not_of('0');
  if (first == std::string::npos) return Decimal{};
  out.digits.erase(0, first);
  out.point -= static_cast<int64_t>(first);
  out.digits.erase(out.digits.find_last_not_of('0') + 1);
  if (out.point > kMaxDigits || out.point < -kMaxDigits) return std::nullopt;
  return out;
}

std::optional<Decimal> DecimalOf(const Json& json) { return ParseDecimal(json.dump()); }

}  // namespace puna::grammar
