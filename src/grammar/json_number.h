// Decimal numbers as JSON writes them, without rounding. Internal to grammar.
#ifndef PUNA_GRAMMAR_JSON_NUMBER_H_
#define PUNA_GRAMMAR_JSON_NUMBER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace puna::grammar {

// sign * 0.DIGITS * 10^point; no zeros at either end of the digits; zero has none.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t point = 0;

  bool is_zero() const { return digits.empty(); }
  bool is_integer() const { return static_cast<int64_t>(digits.size()) <= point || is_zero(); }
  // The digits before and behind the decimal point; "0" and "" for zero.
  std::string Whole() const;
  std::string Fraction() const;
  // Without exponent: "-12.5".
  std::string Text() const;
};

// nullopt for what is no JSON number, and for exponents that would make it longer than some hundred
// digits.
std::optional<Decimal> ParseDecimal(std::string_view text);
// REQUIRES: json is a number.
std::optional<Decimal> DecimalOf(const Json& json);

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_JSON_NUMBER_H_
