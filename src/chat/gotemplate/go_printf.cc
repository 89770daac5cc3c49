#include "chat/gotemplate/go_printf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace puna::chat::gotemplate {
namespace {

// Beyond Go's own limits nothing is printed either, but these keep a template's texts small.
constexpr int kMaxWidth = 500;
constexpr int kMaxPrecision = 300;

struct Verb {
  bool minus = false, plus = false, zero = false, sharp = false, space = false;
  int width = 0;
  int precision = -1;
  char letter = 'v';
};

std::string PadTo(const Verb& verb, std::string text) {
  int64_t length = 0;
  for (std::string_view rest = text; !rest.empty();
       rest.remove_prefix(DecodeUtf8(rest).length_bytes))
    ++length;
  if (length >= verb.width) return text;
  const std::string padding(static_cast<size_t>(verb.width - length),
                            verb.zero && !verb.minus ? '0' : ' ');
  return verb.minus ? text + padding : padding + text;
}

std::string Digits(uint64_t value, char letter) {
  switch (letter) {
    case 'b':
      return fmt::format("{:b}", value);
    case 'o':
    case 'O':
      return fmt::format("{:o}", value);
    case 'x':
      return fmt::format("{:x}", value);
    case 'X':
    case 'U':
      return fmt::format("{:X}", value);
    default:
      return fmt::format("{}", value);
  }
}

std::string FormatInteger(Verb verb, int64_t value) {
  const bool negative = value < 0;
  const uint64_t magnitude =
      negative ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const std::string sign = negative ? "-" : verb.plus ? "+" : verb.space ? " " : "";
  std::string digits = verb.precision == 0 && magnitude == 0 ? "" : Digits(magnitude, verb.letter);
  int at_least = verb.precision;
  if (verb.precision < 0 && verb.zero && !verb.minus)
    at_least = verb.width - static_cast<int>(sign.size());
  if (at_least > static_cast<int>(digits.size()))
    digits.insert(0, static_cast<size_t>(at_least) - digits.size(), '0');
  std::string prefix;
  if (verb.letter == 'O') prefix = "0o";
  if (verb.sharp && verb.letter == 'o' && !digits.starts_with("0")) prefix = "0";
  if (verb.sharp && (verb.letter == 'b' || verb.letter == 'x' || verb.letter == 'X'))
    prefix = std::string("0") + verb.letter;
  verb.zero = false;
  return PadTo(verb, sign + prefix + digits);
}

std::string FormatFloat(const Verb& verb, double value) {
  if (std::string_view("gG").find(verb.letter) != std::string_view::npos && verb.precision < 0) {
    std::string text = PrintValue(GoValue::Float(value), false);
    if (verb.letter == 'G') std::replace(text.begin(), text.end(), 'e', 'E');
    return PadTo(verb, (verb.plus && value >= 0 ? "+" : "") + text);
  }
  const std::string pattern = std::string("%") + (verb.minus ? "-" : "") + (verb.plus ? "+" : "") +
                              (verb.zero ? "0" : "") + (verb.sharp ? "#" : "") +
                              (verb.space ? " " : "") + "*.*" + verb.letter;
  char buffer[1024];
  std::snprintf(buffer, sizeof(buffer), pattern.c_str(), verb.width,
                verb.precision < 0 ? 6 : verb.precision, value);
  return buffer;
}

std::string CharacterOf(int64_t value) {
  std::string text;
  const bool is_character = value >= 0 && value < 0x110000 && (value < 0xD800 || value > 0xDFFF);
  AppendUtf8(is_character ? static_cast<char32_t>(value) : U'\uFFFD', &text);
  return text;
}

std::string FormatText(const Verb& verb, std::string text) {
  if (verb.precision >= 0) {
    size_t end = 0;
    for (int i = 0; i < verb.precision && end < text.size(); ++i)
      end += DecodeUtf8(std::string_view(text).substr(end)).length_bytes;
    text.resize(end);
  }
  if (verb.letter == 'q') text = QuoteGo(text);
  return PadTo(verb, std::move(text));
}

std::string FormatHex(const Verb& verb, const std::string& text) {
  const size_t length =
      verb.precision < 0 ? text.size() : std::min(text.size(), static_cast<size_t>(verb.precision));
  std::string hex;
  for (size_t i = 0; i < length; ++i) {
    const auto byte = static_cast<unsigned>(static_cast<unsigned char>(text[i]));
    hex += verb.letter == 'x' ? fmt::format("{:02x}", byte) : fmt::format("{:02X}", byte);
  }
  return PadTo(verb, hex);
}

bool IsOneOf(char letter, std::string_view letters) {
  return letters.find(letter) != std::string_view::npos;
}

std::string FormatVerb(const Verb& verb, const GoValue& value) {
  const bool is_int = value.kind() == GoKind::kInt, is_float = value.kind() == GoKind::kFloat;
  const bool is_bool = value.kind() == GoKind::kBool;
  if (verb.letter == 'T') return PadTo(verb, value.TypeName());
  if (value.is_string()) {
    if (IsOneOf(verb.letter, "vsq")) return FormatText(verb, value.text());
    if (IsOneOf(verb.letter, "xX")) return FormatHex(verb, value.text());
  } else if (is_int) {
    if (IsOneOf(verb.letter, "vdboOxX")) return FormatInteger(verb, value.AsInt());
    if (verb.letter == 'c') return PadTo(verb, CharacterOf(value.AsInt()));
    if (verb.letter == 'U') {
      Verb at_least = verb;
      at_least.precision = std::max(4, verb.precision);
      at_least.width = 0;
      at_least.plus = at_least.space = at_least.sharp = false;
      return PadTo(verb, "U+" + FormatInteger(at_least, value.AsInt()));
    }
    if (verb.letter == 'q') {
      const std::string character = CharacterOf(value.AsInt());
      const std::string quoted = QuoteGo(character);
      const std::string inner = character == "\""  ? "\""
                                : character == "'" ? "\\'"
                                                   : quoted.substr(1, quoted.size() - 2);
      return PadTo(verb, "'" + inner + "'");
    }
  } else if (is_float) {
    if (verb.letter == 'v') {
      Verb shortest = verb;
      shortest.letter = 'g';
      return FormatFloat(shortest, value.AsDouble());
    }
    if (IsOneOf(verb.letter, "eEfFgG")) return FormatFloat(verb, value.AsDouble());
  } else if (is_bool) {
    if (IsOneOf(verb.letter, "vt")) return PadTo(verb, value.AsBool() ? "true" : "false");
  } else if (IsOneOf(verb.letter, "vs")) {
    return PadTo(verb, PrintValue(value, false));
  }
  return fmt::format("%!{}({}={})", ReplaceInvalidUtf8(std::string_view(&verb.letter, 1)),
                     value.TypeName(), PrintValue(value, false));
}

// One call of Sprintf.
class Formatter {
 public:
  Formatter(std::string_view format, const std::vector<GoValue>& arguments, size_t first,
            size_t max_bytes)
      : format_(format),
        arguments_(arguments),
        first_(first),
        next_(first),
        max_bytes_(max_bytes) {}

  Result<std::string> Run() {
    while (at_ < format_.size()) {
      if (format_[at_] == '%') {
        ++at_;
        Directive();
      } else {
        out_ += format_[at_++];
      }
      if (out_.size() > max_bytes_) return TooLong();
    }
    if (reordered_ || next_ >= arguments_.size()) return std::move(out_);
    out_ += "%!(EXTRA ";
    for (size_t i = next_; i < arguments_.size(); ++i) {
      out_ += (i > next_ ? ", " : "") + arguments_[i].TypeName() + "=" +
              PrintValue(arguments_[i], false);
      if (out_.size() > max_bytes_) return TooLong();
    }
    return std::move(out_) + ")";
  }

 private:
  tl::unexpected<Error> TooLong() const {
    return MakeError(ErrorCode::kInvalidArgument, "printf makes a text of more than {} bytes",
                     max_bytes_);
  }

  char Now() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  void Directive() {
    Verb verb;
    good_index_ = true;
    Flags(&verb);
    ArgumentIndex();
    if (Now() == '*') {
      ++at_;
      const std::optional<int> width = TakeInt(kMaxWidth);
      if (!width) out_ += "%!(BADWIDTH)";
      verb.width = std::abs(width.value_or(0));
      if (width.value_or(0) < 0) verb.minus = true;
    } else {
      verb.width = Number(kMaxWidth);
    }
    if (Now() == '.') {
      ++at_;
      ArgumentIndex();
      if (Now() == '*') {
        ++at_;
        const std::optional<int> precision = TakeInt(kMaxPrecision);
        if (!precision) out_ += "%!(BADPREC)";
        verb.precision = std::max(-1, precision.value_or(-1));
      } else {
        verb.precision = Number(kMaxPrecision);
      }
    }
    ArgumentIndex();
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    verb.letter = format_[at_++];
    const std::string letter = ReplaceInvalidUtf8(std::string_view(&verb.letter, 1));
    if (verb.letter == '%') {
      out_ += '%';
    } else if (!good_index_) {
      out_ += "%!" + letter + "(BADINDEX)";
    } else if (next_ >= arguments_.size()) {
      out_ += "%!" + letter + "(MISSING)";
    } else {
      out_ += FormatVerb(verb, arguments_[next_++]);
    }
  }

  void Flags(Verb* verb) {
    for (;; ++at_) {
      switch (Now()) {
        case '-':
          verb->minus = true;
          break;
        case '+':
          verb->plus = true;
          break;
        case '0':
          verb->zero = true;
          break;
        case '#':
          verb->sharp = true;
          break;
        case ' ':
          verb->space = true;
          break;
        default:
          return;
      }
    }
  }

  int Number(int limit) {
    int value = 0;
    for (; Now() >= '0' && Now() <= '9'; ++at_) value = std::min(value * 10 + (Now() - '0'), limit);
    return value;
  }

  // The number of an argument in brackets, counted from 1, which comes next.
  void ArgumentIndex() {
    if (Now() != '[') return;
    reordered_ = true;
    const size_t close = format_.find(']', at_);
    if (close == std::string_view::npos) {
      ++at_;
      good_index_ = false;
      return;
    }
    ++at_;
    const bool has_digits = at_ < close;
    const auto index = static_cast<size_t>(Number(1'000'000));
    const bool good =
        has_digits && at_ == close && index >= 1 && index <= arguments_.size() - first_;
    at_ = close + 1;
    good_index_ = good_index_ && good;
    if (good) next_ = first_ + index - 1;
  }

  std::optional<int> TakeInt(int limit) {
    if (next_ >= arguments_.size()) return std::nullopt;
    const GoValue& value = arguments_[next_++];
    if (value.kind() != GoKind::kInt || std::abs(value.AsInt()) > 1'000'000) return std::nullopt;
    return static_cast<int>(std::clamp<int64_t>(value.AsInt(), -limit, limit));
  }

  std::string_view format_;
  const std::vector<GoValue>& arguments_;
  size_t first_;
  size_t next_;
  size_t max_bytes_;
  size_t at_ = 0;
  bool reordered_ = false;  // then nobody counts what is left over
  bool good_index_ = true;
  std::string out_;
};

}  // namespace

Result<std::string> Sprintf(std::string_view format, const std::vector<GoValue>& arguments,
                            size_t first, size_t max_bytes) {
  return Formatter(format, arguments, first, max_bytes).Run();
}

}  // namespace puna::chat::gotemplate
