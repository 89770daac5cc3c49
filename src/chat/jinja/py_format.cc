// Python's two ways of formatting, `"%5.2f" % x` and `"{:>5}".format(x)`, and strftime. Both
// formatters reduce a field to one FormatSpec and share the code that lays it out; widths and
// precisions are bounded before anything is allocated.
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

constexpr int64_t kMaxWidth = 100'000;
constexpr int64_t kMaxPrecision = 400;

struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';    // - + or space
  bool alternate = false;
  bool zero = false;
  char grouping = '\0';  // , or _
  char type = '\0';
  int64_t width = 0;
  int64_t precision = -1;
};

std::string Pad(const FormatSpec& spec, std::string_view sign, std::string_view body,
                char default_align) {
  const int64_t missing = spec.width - CountCodepoints(body) - static_cast<int64_t>(sign.size());
  std::string out;
  if (missing <= 0) return out.append(sign).append(body);
  const char align = spec.align != '\0' ? spec.align : spec.zero ? '=' : default_align;
  const std::string& fill = spec.zero && spec.align == '\0' ? std::string("0") : spec.fill;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  const auto repeat = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) out += fill;
  };
  if (align == '=') out += sign;
  repeat(left);
  if (align != '=') out += sign;
  out += body;
  repeat(missing - left);
  return out;
}

// Puts a separator between groups of digits before the point.
std::string Group(const std::string& digits, char separator, size_t size) {
  if (separator == '\0') return digits;
  size_t end = 0;
  while (end < digits.size() && std::isxdigit(static_cast<unsigned char>(digits[end])) != 0) ++end;
  std::string out;
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(end);
}

std::string SignText(const FormatSpec& spec, bool negative) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

std::string FormatDouble(const FormatSpec& spec, double value) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  double magnitude = std::fabs(value);
  char type = spec.type == '\0' || spec.type == 'n' ? 'g' : spec.type;
  std::string suffix;
  if (type == '%') {
    magnitude *= 100;
    type = 'f';
    suffix = "%";
  }
  std::string digits;
  if (std::isnan(magnitude) || std::isinf(magnitude)) {
    digits = std::isnan(magnitude) ? "nan" : "inf";
    if (type == 'F' || type == 'E' || type == 'G') digits = Upper(digits);
  } else if (spec.type == '\0' && spec.precision < 0) {
    digits = FloatRepr(magnitude);
  } else {
    const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
    const std::string pattern = std::string("%") + (spec.alternate ? "#" : "") + ".*" + type;
    std::string buffer(900, '\0');
    const int length =
        std::snprintf(buffer.data(), buffer.size(), pattern.c_str(), precision, magnitude);
    digits = buffer.substr(0, static_cast<size_t>(std::min<int>(length, 899)));
    const bool plain = digits.find_first_not_of("0123456789") == std::string::npos;
    if (spec.type == '\0' && plain) digits += ".0";
  }
  return Pad(spec, SignText(spec, negative), Group(digits, spec.grouping, 3) + suffix, '>');
}

std::string FormatInteger(const FormatSpec& spec, int64_t value) {
  const uint64_t magnitude =
      value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits;
  std::string prefix;
  switch (spec.type) {
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      break;
    default:
      digits = fmt::format("{}", magnitude);
  }
  const bool decimal = prefix.empty();
  std::string sign = SignText(spec, value < 0);
  if (spec.alternate) sign += prefix;
  return Pad(spec, sign, Group(digits, spec.grouping, decimal ? 3 : 4), '>');
}

std::string FormatText(const FormatSpec& spec, std::string_view text) {
  if (spec.precision >= 0) text = SliceCodepoints(text, 0, spec.precision);
  return Pad(spec, "", text, '<');
}

bool IsOneOf(char c, std::string_view set) {
  return c != '\0' && set.find(c) != std::string_view::npos;
}

// A number of at most `limit` at `at`; -1 if there is none.
int64_t ReadNumber(std::string_view text, size_t* at, int64_t limit, Meter& meter) {
  int64_t number = -1;
  while (*at < text.size() && text[*at] >= '0' && text[*at] <= '9') {
    number = std::max<int64_t>(number, 0) * 10 + (text[(*at)++] - '0');
    if (number > limit) {
      meter.Fail("a format asks for {} or more characters, the limit is {}", number, limit);
      return 0;
    }
  }
  return number;
}

bool ParseSpec(Meter& meter, std::string_view text, FormatSpec* spec) {
  size_t at = 0;
  const auto peek = [&](size_t i) { return i < text.size() ? text[i] : '\0'; };
  const size_t first = text.empty() ? 0 : DecodeUtf8(text).length_bytes;
  if (IsOneOf(peek(first), "<>^=") && first > 0) {
    spec->fill = std::string(text.substr(0, first));
    spec->align = text[first];
    at = first + 1;
  } else if (IsOneOf(peek(0), "<>^=")) {
    spec->align = text[0];
    at = 1;
  }
  if (IsOneOf(peek(at), "+- ")) spec->sign = text[at++];
  if (peek(at) == '#') spec->alternate = ++at > 0;
  if (peek(at) == '0') spec->zero = ++at > 0;
  spec->width = std::max<int64_t>(0, ReadNumber(text, &at, kMaxWidth, meter));
  if (IsOneOf(peek(at), ",_")) spec->grouping = text[at++];
  if (peek(at) == '.') {
    ++at;
    spec->precision = ReadNumber(text, &at, kMaxPrecision, meter);
    if (spec->precision < 0) return meter.Fail("format specifier missing precision");
  }
  if (at < text.size()) spec->type = text[at++];
  return at == text.size() ? !meter.failed()
                           : meter.Fail("invalid format specifier '{}'", ReplaceInvalidUtf8(text));
}

// format(value, spec)
std::string FormatValue(Meter& meter, const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return ToStr(meter, value);
  FormatSpec spec;
  if (!ParseSpec(meter, spec_text, &spec)) return {};
  if (value.is_string() && (spec.type == '\0' || spec.type == 's') && spec.align != '=') {
    if (spec.zero && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '<';
    }
    return FormatText(spec, value.text());
  }
  if (value.is_integral() && IsOneOf(spec.type == '\0' ? 'd' : spec.type, "dbnoxX") &&
      spec.precision < 0) {
    return FormatInteger(spec, value.AsInt());
  }
  if (value.is_integral() && spec.type == 'c') {
    std::string character;
    if (value.AsInt() < 0 || value.AsInt() > 0x10FFFF) {
      meter.Fail("%c arg not in range(0x110000)");
      return {};
    }
    AppendUtf8(static_cast<char32_t>(value.AsInt()), &character);
    return FormatText(spec, character);
  }
  if (value.is_number() && IsOneOf(spec.type == '\0' ? 'g' : spec.type, "eEfFgGn%") &&
      (value.is_float() || spec.type != '\0')) {
    return FormatDouble(spec, value.AsDouble());
  }
  meter.Fail("unsupported format '{}' for an object of type '{}'", ReplaceInvalidUtf8(spec_text),
             TypeName(value));
  return {};
}

std::string AsciiRepr(Meter& meter, const Value& value) {
  std::string out;
  const std::string repr = ToRepr(meter, value);
  for (const std::string_view character : Characters(repr)) {
    const char32_t c = DecodeOne(character);
    if (c < 0x80) {
      out += character;
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  return out;
}

class PercentFormatter {
 public:
  PercentFormatter(Meter& meter, std::string_view format, const Value& arguments)
      : meter_(meter), format_(format), arguments_(arguments) {
    if (arguments.is_sequence(SequenceType::kTuple)) {
      positional_ = arguments.sequence().items;
    } else {
      positional_ = {arguments};
    }
  }

  std::string Run() {
    while (at_ < format_.size() && !meter_.failed()) {
      const char c = format_[at_++];
      if (c != '%') {
        out_ += c;
        continue;
      }
      Field();
      if (!meter_.CanAllocate(out_.size())) break;
    }
    const bool may_ignore = arguments_.is_dict() || arguments_.is_sequence(SequenceType::kList) ||
                            arguments_.is_undefined();
    if (!may_ignore && next_ < positional_.size())
      meter_.Fail("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  char Peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  const Value& Next() {
    static const Value kNothing{};
    if (next_ < positional_.size()) return positional_[next_++];
    meter_.Fail("not enough arguments for format string");
    return kNothing;
  }

  int64_t NumberOrStar(int64_t limit) {
    if (Peek() != '*') return ReadNumber(format_, &at_, limit, meter_);
    ++at_;
    const Value& value = Next();
    if (!value.is_integral() || value.AsInt() < 0 || value.AsInt() > limit) {
      meter_.Fail("* wants an int between 0 and {}", limit);
      return 0;
    }
    return value.AsInt();
  }

  void Field() {
    FormatSpec spec;
    Value named;
    bool has_name = false;
    if (Peek() == '(') {
      const size_t end = format_.find(')', at_);
      if (end == std::string_view::npos || !arguments_.is_dict()) {
        meter_.Fail("{}", end == std::string_view::npos ? "incomplete format key"
                                                        : "format requires a mapping");
        return;
      }
      const std::string key(format_.substr(at_ + 1, end - at_ - 1));
      const Value* found = arguments_.dict().Find(key);
      if (found == nullptr) {
        meter_.Fail("there is no key '{}' for the format", ReplaceInvalidUtf8(key));
        return;
      }
      named = *found;
      has_name = true;
      at_ = end + 1;
    }
    for (; IsOneOf(Peek(), "-+ #0"); ++at_) {
      if (Peek() == '-') spec.align = '<';
      if (Peek() == '+') spec.sign = '+';
      if (Peek() == ' ' && spec.sign != '+') spec.sign = ' ';
      if (Peek() == '#') spec.alternate = true;
      if (Peek() == '0') spec.zero = true;
    }
    spec.width = std::max<int64_t>(0, NumberOrStar(kMaxWidth));
    if (Peek() == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(0, NumberOrStar(kMaxPrecision));
    }
    while (IsOneOf(Peek(), "hlL")) ++at_;
    if (meter_.failed()) return;
    if (at_ >= format_.size()) {
      meter_.Fail("incomplete format");
      return;
    }
    const char type = format_[at_++];
    if (type == '%') {
      out_ += '%';
      return;
    }
    const Value value = has_name ? named : Next();
    if (!meter_.failed()) Convert(type, value, spec);
  }

  void Convert(char type, const Value& value, FormatSpec spec) {
    switch (type) {
      case 's':
      case 'r':
      case 'a':
        spec.zero = false;
        if (spec.align == '\0') spec.align = '>';
        out_ += FormatText(spec, type == 's'   ? ToStr(meter_, value)
                                 : type == 'r' ? ToRepr(meter_, value)
                                               : AsciiRepr(meter_, value));
        return;
      case 'c':
        if (value.is_string() && CountCodepoints(value.text()) == 1) {
          out_ += FormatText(spec, value.text());
        } else {
          spec.type = 'c';
          out_ += FormatValue(meter_, value, "c");
        }
        return;
      default:
        break;
    }
    if (!IsOneOf(type, "diuoxXeEfFgG")) {
      meter_.Fail("unsupported format character '{}'",
                  ReplaceInvalidUtf8(std::string_view(&type, 1)));
      return;
    }
    if (!value.is_number()) {
      meter_.Fail("%{} format: a number is required, not {}", type, TypeName(value));
      return;
    }
    spec.type = type;
    if (!IsOneOf(type, "diuoxX")) {
      out_ += FormatDouble(spec, value.AsDouble());
      return;
    }
    const double real = value.AsDouble();
    if (value.is_float() && (IsOneOf(type, "oxX") || !(std::fabs(real) < 9e18))) {
      meter_.Fail("%{} format: an integer is required, not float", type);
      return;
    }
    out_ += FormatInteger(spec, value.is_float() ? static_cast<int64_t>(real) : value.AsInt());
  }

  Meter& meter_;
  std::string_view format_;
  const Value& arguments_;
  std::vector<Value> positional_;
  size_t next_ = 0;
  size_t at_ = 0;
  std::string out_;
};

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& arguments)
      : interpreter_(interpreter), meter_(interpreter.meter()), arguments_(arguments) {}

  // `depth` is 1 inside a format specification, where fields may stand once more.
  std::string Run(std::string_view format, int depth) {
    std::string out;
    size_t at = 0;
    while (at < format.size() && !meter_.failed()) {
      const char c = format[at++];
      if (c != '{' && c != '}') {
        out += c;
      } else if (at < format.size() && format[at] == c && depth == 0) {
        out += c;
        ++at;
      } else if (c == '}') {
        meter_.Fail("single '}}' encountered in format string");
      } else {
        const size_t end = FieldEnd(format, at);
        if (end == std::string_view::npos) {
          meter_.Fail("expected '}}' before end of string");
          break;
        }
        out += Field(format.substr(at, end - at), depth);
        at = end + 1;
        if (!meter_.CanAllocate(out.size())) break;
      }
    }
    return out;
  }

 private:
  static size_t FieldEnd(std::string_view format, size_t at) {
    int open = 0;
    for (; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && open-- == 0) return at;
    }
    return std::string_view::npos;
  }

  std::string Field(std::string_view field, int depth) {
    if (depth > 1) {
      meter_.Fail("max string recursion exceeded");
      return {};
    }
    size_t name_end = 0;
    bool in_brackets = false;
    while (name_end < field.size() &&
           (in_brackets || (field[name_end] != ':' && field[name_end] != '!'))) {
      in_brackets = field[name_end] == '[' || (in_brackets && field[name_end] != ']');
      ++name_end;
    }
    const Value value = Lookup(field.substr(0, name_end));
    std::string_view rest = field.substr(name_end);
    char conversion = '\0';
    if (rest.size() >= 2 && rest[0] == '!') {
      conversion = rest[1];
      rest.remove_prefix(2);
    }
    if (!rest.empty() && rest[0] != ':') {
      meter_.Fail("a replacement field is malformed");
      return {};
    }
    const std::string spec = rest.empty() ? "" : Run(rest.substr(1), depth + 1);
    if (meter_.failed()) return {};
    switch (conversion) {
      case '\0':
        return FormatValue(meter_, value, spec);
      case 's':
        return FormatValue(meter_, Value::String(meter_, ToStr(meter_, value)), spec);
      case 'r':
        return FormatValue(meter_, Value::String(meter_, ToRepr(meter_, value)), spec);
      case 'a':
        return FormatValue(meter_, Value::String(meter_, AsciiRepr(meter_, value)), spec);
      default:
        meter_.Fail("unknown conversion specifier '{}'",
                    ReplaceInvalidUtf8(std::string_view(&conversion, 1)));
        return {};
    }
  }

  static bool IsNumber(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }

  Value Lookup(std::string_view name) {
    const size_t first_end = std::min(name.find('.'), name.find('['));
    Value value = First(name.substr(0, first_end));
    std::string_view rest =
        first_end == std::string_view::npos ? std::string_view() : name.substr(first_end);
    while (!rest.empty() && !meter_.failed()) {
      if (rest[0] == '.') {
        const size_t end = std::min({rest.find('.', 1), rest.find('[', 1), rest.size()});
        value = interpreter_.GetAttribute(value, rest.substr(1, end - 1));
        rest = rest.substr(end);
      } else {
        const size_t end = rest.find(']');
        if (rest[0] != '[' || end == std::string_view::npos) {
          meter_.Fail("a replacement field is malformed");
          break;
        }
        const std::string key(rest.substr(1, end - 1));
        value = interpreter_.GetItem(
            value, IsNumber(key) ? Value::Int(std::stoll(key)) : Value::String(meter_, key));
        rest = rest.substr(end + 1);
      }
    }
    return value;
  }

  Value First(std::string_view name) {
    size_t index = 0;
    if (name.empty() || IsNumber(name)) {
      if (name.empty() ? manual_ : next_ > 0) {
        meter_.Fail("automatic and manual field numbering cannot be mixed");
        return Value();
      }
      manual_ |= !name.empty();
      index = name.empty() ? next_++ : static_cast<size_t>(std::stoll(std::string(name)));
      if (index < arguments_.positional.size()) return arguments_.positional[index];
      meter_.Fail("replacement index {} out of range for {} arguments", index,
                  arguments_.positional.size());
      return Value();
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    meter_.Fail("the format has no argument '{}'", ReplaceInvalidUtf8(name));
    return Value();
  }

  Interpreter& interpreter_;
  Meter& meter_;
  const Arguments& arguments_;
  size_t next_ = 0;
  bool manual_ = false;
};

}  // namespace

Value PercentFormat(Interpreter& interpreter, const Value& format, const Value& arguments) {
  PercentFormatter formatter(interpreter.meter(), format.text(), arguments);
  return Value::String(interpreter.meter(), formatter.Run(), format.is_markup());
}

Value BraceFormat(Interpreter& interpreter, const Value& format, const Arguments& arguments) {
  BraceFormatter formatter(interpreter, arguments);
  return Value::String(interpreter.meter(), formatter.Run(format.text(), 0), format.is_markup());
}

// libc's strftime in the C locale, except %f, which only Python has, and the two zone letters,
// which are empty for a time without zone.
std::string FormatTime(std::string_view format, const std::tm& time) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    std::string directive = "%";
    ++i;
    if (IsOneOf(format[i], "-_0^#") && i + 1 < format.size()) directive += format[i++];
    const char letter = format[i];
    if (letter == 'f') {
      out += "000000";
    } else if (letter != 'z' && letter != 'Z') {
      if (!IsOneOf(letter, "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%")) {
        out += directive + letter;
        continue;
      }
      directive += letter;
      char buffer[128];
      out.append(buffer, std::strftime(buffer, sizeof(buffer), directive.c_str(), &time));
    }
  }
  return out;
}

}  // namespace puna::chat::jinja
