#include "base/duration.h"

#include <cctype>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <limits>

namespace puna {
namespace {

using std::chrono::nanoseconds;

// Nanoseconds of the unit that `text` starts with, and its length; 0 if there is none.
double UnitNanoseconds(std::string_view text, size_t* length) {
  struct Unit {
    std::string_view name;
    double nanoseconds;
  };
  // Longer names first where one begins with another.
  static constexpr Unit kUnits[] = {{"ns", 1},          {"us", 1e3},  {"\xC2\xB5s", 1e3},
                                    {"\xCE\xBCs", 1e3}, {"ms", 1e6},  {"s", 1e9},
                                    {"m", 60e9},        {"h", 3600e9}};
  for (const Unit& unit : kUnits) {
    if (text.starts_with(unit.name)) {
      *length = unit.name.size();
      return unit.nanoseconds;
    }
  }
  return 0;
}

// Whole numbers of nanoseconds, which are of 63 bits, must be exact.
using Number = long double;
static_assert(std::numeric_limits<Number>::digits >= 64);

// Reads digits with an optional fraction; false if there is no digit.
bool ReadNumber(std::string_view* text, Number* value) {
  Number number = 0;
  Number scale = 1;
  bool any = false;
  bool fraction = false;
  size_t i = 0;
  for (; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '.' && !fraction) {
      fraction = true;
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      any = true;
      number = number * 10 + (c - '0');
      if (fraction) scale *= 10;
    } else {
      break;
    }
  }
  text->remove_prefix(i);
  *value = number / scale;
  return any;
}

}  // namespace

Result<nanoseconds> ParseGoDuration(std::string_view text) {
  const auto invalid = [&] {
    return MakeError(ErrorCode::kInvalidArgument, "time: invalid duration \"{}\"", text);
  };
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return nanoseconds(0);
  if (rest.empty()) return invalid();
  Number total = 0;
  while (!rest.empty()) {
    Number number = 0;
    if (!ReadNumber(&rest, &number)) return invalid();
    size_t length = 0;
    const double unit = UnitNanoseconds(rest, &length);
    if (unit == 0) {
      if (rest.empty())
        return MakeError(ErrorCode::kInvalidArgument, "time: missing unit in duration \"{}\"",
                         text);
      return MakeError(ErrorCode::kInvalidArgument, "time: unknown unit in duration \"{}\"", text);
    }
    rest.remove_prefix(length);
    total += number * unit;
  }
  total = std::round(total);
  if (!(total <= static_cast<Number>(INT64_MAX))) return invalid();
  const auto count = static_cast<int64_t>(total);
  return nanoseconds(negative ? -count : count);
}

Result<nanoseconds> ParseKeepAlive(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  Number seconds = 0;
  std::string_view rest = digits;
  nanoseconds value{};
  if (ReadNumber(&rest, &seconds) && rest.empty()) {
    if (text.starts_with('-') && seconds > 0) return kForever;
    if (seconds >= 9.2e9) return kForever;
    value = nanoseconds(std::llround(seconds * 1e9));
  } else {
    PUNA_ASSIGN_OR_RETURN(value, ParseGoDuration(text));
  }
  return value < nanoseconds(0) ? kForever : value;
}

std::string FormatRfc3339(std::chrono::system_clock::time_point time) {
  const int64_t ns = std::chrono::duration_cast<nanoseconds>(time.time_since_epoch()).count();
  int64_t seconds = ns / 1'000'000'000;
  int64_t fraction = ns % 1'000'000'000;
  if (fraction < 0) {
    fraction += 1'000'000'000;
    --seconds;
  }
  const std::time_t clock = seconds;
  std::tm parts = {};
  ::gmtime_r(&clock, &parts);
  char date[40];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:09}Z", date, fraction);
}

}  // namespace puna
