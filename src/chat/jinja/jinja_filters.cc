// The table of all filters, and the filters on numbers and on any value.
#include "chat/jinja/jinja_filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "chat/jinja/jinja_names.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

using Given = std::vector<const Value*>;

Value Abs(Interpreter& interpreter, const Value& input, Arguments&) {
  if (input.is_float()) return Value::Float(std::fabs(input.AsDouble()));
  if (input.is_integral())
    return input.AsInt() < 0 ? Negate(interpreter, input) : Value::Int(input.AsInt());
  if (input.is_undefined()) return interpreter.Fail("{}", input.why_undefined());
  return interpreter.Fail("bad operand type for abs(): '{}'", TypeName(input));
}

Value Attr(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "attr", arguments, {"name"}, 1, &given)) return Value();
  const std::string name = ToStr(interpreter.meter(), *given[0]);
  if (input.is_dict()) {  // unlike the dot, this filter never looks at a dict's keys
    if (FindMethod(input, name) == nullptr) {
      return Value::Undefined(interpreter.meter(),
                              fmt::format("'dict object' has no attribute '{}'", name));
    }
  }
  return interpreter.GetAttribute(input, name);
}

Value Default(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "default", arguments, {"default_value", "boolean"}, 0, &given))
    return Value();
  const bool use_default =
      input.is_undefined() || (given[1] != nullptr && Truthy(*given[1]) && !Truthy(input));
  if (!use_default) return input;
  return given[0] != nullptr ? *given[0] : Value::Literal("");
}

// A number of Python's int() or float() syntax: white space around, underscores between digits.
std::string CleanNumber(std::string_view text) {
  std::string out;
  text = Strip(text, nullptr, true, true);
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = text[i] == '_' && i > 0 && i + 1 < text.size() &&
                         std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0 &&
                         std::isalnum(static_cast<unsigned char>(text[i + 1])) != 0;
    if (!between) out += text[i];
  }
  return out;
}

bool ParseFloat(std::string_view text, double* value) {
  const std::string number = Lower(CleanNumber(text));
  if (number.empty() || number.find_first_not_of("+-.0123456789einfaty") != std::string::npos)
    return false;
  char* end = nullptr;
  *value = std::strtod(number.c_str(), &end);
  return *end == '\0';
}

// int(text, base); false for anything else, and for what does not fit 64 bits.
bool ParseInt(std::string_view text, int64_t base, int64_t* value) {
  std::string number = Lower(CleanNumber(text));
  const bool negative = !number.empty() && number[0] == '-';
  if (!number.empty() && (number[0] == '-' || number[0] == '+')) number.erase(0, 1);
  for (const auto& [prefix, prefix_base] : {std::pair{"0x", 16}, {"0o", 8}, {"0b", 2}}) {
    if ((base == prefix_base || base == 0) && number.starts_with(prefix)) {
      number.erase(0, 2);
      base = prefix_base;
    }
  }
  if (base == 0) base = 10;
  if (number.empty() || number[0] == '-' || base < 2 || base > 36) return false;
  if (negative) number = std::string(1, '-').append(number);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), *value, static_cast<int>(base));
  return error == std::errc() && end == number.data() + number.size();
}

Value ToInt(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "int", arguments, {"default", "base"}, 0, &given)) return Value();
  const Value fallback = given[0] != nullptr ? *given[0] : Value::Int(0);
  const int64_t base = given[1] != nullptr && given[1]->is_integral() ? given[1]->AsInt() : 10;
  double real = 0;
  if (input.is_undefined()) return interpreter.Fail("{}", input.why_undefined());
  if (input.is_integral()) return Value::Int(input.AsInt());
  if (input.is_string()) {
    int64_t integer = 0;
    if (ParseInt(input.text(), base, &integer)) return Value::Int(integer);
    if (!ParseFloat(input.text(), &real)) return fallback;
  } else if (input.is_float()) {
    real = input.AsDouble();
  } else {
    return fallback;
  }
  if (std::fabs(real) < 9.2e18) return Value::Int(static_cast<int64_t>(real));
  if (std::isnan(real) || (std::isinf(real) && input.is_string())) return fallback;
  return interpreter.Fail("the result does not fit a 64-bit integer");
}

Value ToFloat(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "float", arguments, {"default"}, 0, &given)) return Value();
  double real = 0;
  if (input.is_undefined()) return interpreter.Fail("{}", input.why_undefined());
  if (input.is_number()) return Value::Float(input.AsDouble());
  if (input.is_string() && ParseFloat(input.text(), &real)) return Value::Float(real);
  return given[0] != nullptr ? *given[0] : Value::Float(0);
}

// Rounds to `precision` decimal digits by the exact decimal value, ties to even: printf does
// precisely that.
double RoundDecimal(double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision >= 0)
    return std::strtod(fmt::format("{:.{}f}", value, static_cast<int>(precision)).c_str(), nullptr);
  const double scale = std::pow(10.0, static_cast<double>(-std::max<int64_t>(precision, -400)));
  return std::isinf(scale) ? 0.0 : std::nearbyint(value / scale) * scale;
}

Value Round(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "round", arguments, {"precision", "method"}, 0, &given))
    return Value();
  const std::string method = given[1] != nullptr ? ToStr(interpreter.meter(), *given[1]) : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    return interpreter.Fail("method must be common, ceil or floor");
  }
  if (given[0] != nullptr && !given[0]->is_integral())
    return interpreter.Fail("a precision must be an integer");
  const int64_t precision = given[0] != nullptr ? given[0]->AsInt() : 0;
  if (!input.is_number()) return interpreter.Fail("type {} has no rounding", TypeName(input));
  if (method == "common") {
    if (input.is_integral() && precision >= 0) return Value::Int(input.AsInt());
    const double rounded = RoundDecimal(input.AsDouble(), precision);
    if (!input.is_integral()) return Value::Float(rounded);
    if (!(std::fabs(rounded) < 9.2e18))
      return interpreter.Fail("the result does not fit a 64-bit integer");
    return Value::Int(static_cast<int64_t>(rounded));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.AsDouble() * scale;
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value FileSizeFormat(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "filesizeformat", arguments, {"binary"}, 0, &given))
    return Value();
  double bytes = input.is_number() ? input.AsDouble() : 0;
  if (!input.is_number() && !(input.is_string() && ParseFloat(input.text(), &bytes))) {
    return interpreter.Fail("could not convert '{}' to a number", TypeName(input));
  }
  const bool binary = given[0] != nullptr && Truthy(*given[0]);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::Literal("1 Byte");
  if (bytes < base)
    return Value::String(interpreter.meter(), fmt::format("{:.0f} Bytes", std::trunc(bytes) + 0.0));
  static constexpr std::string_view kBinary[] = {"KiB", "MiB", "GiB", "TiB",
                                                 "PiB", "EiB", "ZiB", "YiB"};
  static constexpr std::string_view kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  double unit = base;
  size_t i = 0;
  while (i + 1 < std::size(kBinary) && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  return Value::String(interpreter.meter(),
                       fmt::format("{:.1f} {}", bytes / unit, binary ? kBinary[i] : kDecimal[i]));
}

constexpr Filter kNumberFilters[] = {
    {"abs", Abs},
    {"attr", Attr},
    {"d", Default},
    {"default", Default},
    {"filesizeformat", FileSizeFormat},
    {"float", ToFloat},
    {"int", ToInt},
    {"round", Round},
    {"tojson", ToJson},
};

const Filter* FindFilter(std::string_view name) {
  for (const auto& filters : {TextFilters(), SequenceFilters(), NumberFilters()}) {
    for (const Filter& filter : filters) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

}  // namespace

std::span<const Filter> NumberFilters() { return kNumberFilters; }

bool IsFilterName(std::string_view name) { return FindFilter(name) != nullptr; }

Value Interpreter::ApplyFilter(std::string_view name, const Value& input, Arguments& arguments) {
  if (meter_.failed() || !meter_.Charge(1)) return Value();
  const Filter* filter = FindFilter(name);
  if (filter == nullptr) return Fail("no filter named '{}' found", name);
  ChargeText(input);
  return filter->call(*this, input, arguments);
}

}  // namespace puna::chat::jinja
