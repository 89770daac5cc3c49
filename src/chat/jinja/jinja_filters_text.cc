// Filters on text. Most print their input first, as Jinja's do: 5|upper is "5".
#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "chat/jinja/jinja_filters.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

using Given = std::vector<const Value*>;

Value Text(Interpreter& interpreter, std::string text, bool markup = false) {
  return Value::String(interpreter.meter(), std::move(text), markup);
}

// Whether a filter that uses its input as text can; unlike most it prints nothing first.
bool IsText(Interpreter& interpreter, std::string_view filter, const Value& input) {
  if (input.is_string()) return true;
  if (input.is_undefined()) {
    interpreter.Fail("{}", input.why_undefined());
  } else {
    interpreter.Fail("{}() needs a str, got {}", filter, TypeName(input));
  }
  return false;
}

// A filter that is the string method of the same name on the printed input.
Value CallMethod(Interpreter& interpreter, std::string_view method, const Value& input,
                 Arguments& arguments) {
  const Value text =
      input.is_string() ? input : Text(interpreter, ToStr(interpreter.meter(), input));
  return FindStringMethod(method)->call(interpreter, text, arguments);
}

Value UpperFilter(Interpreter& i, const Value& input, Arguments& a) {
  return CallMethod(i, "upper", input, a);
}
Value LowerFilter(Interpreter& i, const Value& input, Arguments& a) {
  return CallMethod(i, "lower", input, a);
}
Value CapitalizeFilter(Interpreter& i, const Value& input, Arguments& a) {
  return CallMethod(i, "capitalize", input, a);
}
Value TrimFilter(Interpreter& i, const Value& input, Arguments& a) {
  return CallMethod(i, "strip", input, a);
}

Value CenterFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "center", arguments, {"width"}, 0, &given)) return Value();
  Arguments method;
  method.positional.push_back(given[0] != nullptr ? *given[0] : Value::Int(80));
  return CallMethod(interpreter, "center", input, method);
}

Value ReplaceFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "replace", arguments, {"old", "new", "count"}, 2, &given))
    return Value();
  Arguments method;
  for (size_t i = 0; i < 2; ++i)
    method.positional.push_back(Text(interpreter, ToStr(interpreter.meter(), *given[i])));
  if (given[2] != nullptr && !given[2]->is_none()) method.positional.push_back(*given[2]);
  return CallMethod(interpreter, "replace", Text(interpreter, ToStr(interpreter.meter(), input)),
                    method);
}

// Jinja's own title: a word begins behind a hyphen, white space or an opening bracket.
Value TitleFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  const std::string text = ToStr(interpreter.meter(), input);
  std::string out;
  bool begins_word = true;
  for (const std::string_view character : Characters(text)) {
    const bool separates = IsPySpace(DecodeOne(character)) ||
                           (character.size() == 1 &&
                            std::string_view("-({[<").find(character) != std::string_view::npos);
    out += separates ? std::string(character) : begins_word ? Upper(character) : Lower(character);
    begins_word = separates;
  }
  return Text(interpreter, std::move(out), input.is_markup());
}

Value StringFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  return input.is_string() ? input : Text(interpreter, ToStr(interpreter.meter(), input));
}

Value SafeFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  return Text(interpreter, ToStr(interpreter.meter(), input), true);
}

Value EscapeFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  if (input.is_markup()) return input;
  return Text(interpreter, HtmlEscape(ToStr(interpreter.meter(), input)), true);
}

Value ForceEscapeFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  return Text(interpreter, HtmlEscape(ToStr(interpreter.meter(), input)), true);
}

Value FormatFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return interpreter.Fail("can't handle positional and keyword arguments at the same time");
  }
  Value values;
  if (arguments.named.empty()) {
    values = Value::Tuple(meter, std::move(arguments.positional));
  } else {
    auto dict = MakeDict(meter);
    for (const auto& [name, value] : arguments.named)
      dict->Set(meter, Text(interpreter, name), value);
    values = Value::Dict(std::move(dict));
  }
  return PercentFormat(interpreter, Text(interpreter, ToStr(meter, input), input.is_markup()),
                       values);
}

Value IndentFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  if (!Bind(meter, "indent", arguments, {"width", "first", "blank"}, 0, &given)) return Value();
  std::string indentation = "    ";
  if (given[0] != nullptr && given[0]->is_string()) indentation = given[0]->text();
  if (given[0] != nullptr && given[0]->is_integral()) {
    if (given[0]->AsInt() > 100'000)
      return interpreter.Fail("indent() takes at most 100000, not {}", given[0]->AsInt());
    indentation.assign(static_cast<size_t>(std::max<int64_t>(given[0]->AsInt(), 0)), ' ');
  }
  if (!IsText(interpreter, "indent", input)) return Value();
  const bool first = given[1] != nullptr && Truthy(*given[1]);
  const bool blank = given[2] != nullptr && Truthy(*given[2]);
  const std::string text =
      input.text() + "\n";  // as in Jinja, so that a final newline makes an empty line
  const std::vector<std::string_view> lines = SplitLines(text, false, meter.max_parts());
  if (!meter.CanAllocateParts(lines.size())) return Value();
  if (!meter.CanAllocate(text.size() + lines.size() * indentation.size())) return Value();
  std::string out;
  if (first) out += indentation;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indentation;
    out += lines[i];
  }
  return Text(interpreter, std::move(out), input.is_markup());
}

Value TruncateFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  if (!Bind(meter, "truncate", arguments, {"length", "killwords", "end", "leeway"}, 0, &given))
    return Value();
  const auto number = [&](const Value* value, int64_t fallback) {
    return value != nullptr && value->is_integral() ? value->AsInt() : fallback;
  };
  const int64_t length = number(given[0], 255);
  const int64_t leeway = number(given[3], 5);
  const std::string end = given[2] != nullptr ? ToStr(meter, *given[2]) : "...";
  const int64_t end_length = CountCodepoints(end);
  if (length < end_length)
    return interpreter.Fail("expected length >= {}, got {}", end_length, length);
  if (leeway < 0) return interpreter.Fail("expected leeway >= 0, got {}", leeway);
  int64_t input_length = 0;
  if (!Length(meter, input, &input_length)) return Value();
  if (input_length - leeway <= length) return input;
  if (!IsText(interpreter, "truncate", input)) return Value();
  const std::string& text = input.text();
  std::string_view kept = SliceCodepoints(text, 0, length - end_length);
  if (given[1] == nullptr || !Truthy(*given[1]))
    kept = kept.substr(0, std::min(kept.rfind(' '), kept.size()));
  return Text(interpreter, std::string(kept) + end);
}

Value WordCountFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  int64_t words = 0;
  bool inside = false;
  const std::string text = ToStr(interpreter.meter(), input);
  for (const std::string_view character : Characters(text)) {
    const char32_t c = DecodeOne(character);
    const bool is_word = c == '_' || IsPyAlpha(c) || IsPyNumeric(c);
    words += is_word && !inside ? 1 : 0;
    inside = is_word;
  }
  return Value::Int(words);
}

// Greedy filling of one paragraph: words and the white space between them are chunks; white space
// at a line's end is dropped.
std::vector<std::string> WrapParagraph(std::string_view text, int64_t width, bool break_long,
                                       size_t most) {
  std::vector<std::string> lines;
  std::string line;
  int64_t line_length = 0;
  const auto flush = [&] {
    const std::string_view stripped = Strip(line, nullptr, false, true);
    if (!stripped.empty()) lines.emplace_back(stripped);
    line.clear();
    line_length = 0;
  };
  const auto add = [&](std::string_view chunk, int64_t length, bool is_space) {
    if (is_space && line.empty() && !lines.empty()) return;
    if (line_length + length > width && !line.empty()) flush();
    if (is_space && line.empty() && !lines.empty()) return;
    line += chunk;
    line_length += length;
  };
  size_t at = 0;
  while (at < text.size() && lines.size() <= most) {
    const bool is_space = IsPySpace(DecodeOne(text.substr(at)));
    size_t end = at;
    int64_t length = 0;
    while (end < text.size() && IsPySpace(DecodeOne(text.substr(end))) == is_space) {
      end += DecodeUtf8(text.substr(end)).length_bytes;
      ++length;
    }
    std::string_view chunk = text.substr(at, end - at);
    while (break_long && length > width && lines.size() <= most) {
      const int64_t room = line_length < width ? width - line_length : width;
      const std::string_view part = SliceCodepoints(chunk, 0, room);
      add(part, room, is_space);
      chunk.remove_prefix(part.size());
      length -= room;
    }
    add(chunk, length, is_space);
    at = end;
  }
  flush();
  return lines;
}

Value WordWrapFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  if (!Bind(meter, "wordwrap", arguments,
            {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0, &given)) {
    return Value();
  }
  const int64_t width = given[0] != nullptr && given[0]->is_integral() ? given[0]->AsInt() : 79;
  if (width <= 0) return interpreter.Fail("invalid width {} (must be > 0)", width);
  const bool break_long = given[1] == nullptr || Truthy(*given[1]);
  const std::string separator =
      given[2] != nullptr && given[2]->is_string() ? given[2]->text() : "\n";
  if (!IsText(interpreter, "wordwrap", input)) return Value();
  const std::string& text = input.text();
  if (separator.size() > 1000)
    return interpreter.Fail("wordwrap() got a wrapstring longer than 1000 bytes");
  std::string out;
  bool first = true;
  const auto paragraphs = SplitLines(text, false, meter.max_parts());
  if (!meter.CanAllocateParts(paragraphs.size())) return Value();
  for (const std::string_view paragraph : paragraphs) {
    if (!first) out += separator;
    first = false;
    const std::vector<std::string> lines =
        WrapParagraph(paragraph, width, break_long, meter.max_parts());
    if (!meter.CanAllocateParts(lines.size()) ||
        !meter.CanAllocate(out.size() + lines.size() * separator.size() + paragraph.size()))
      return Value();
    for (size_t i = 0; i < lines.size(); ++i) out += (i > 0 ? separator : "") + lines[i];
  }
  return Text(interpreter, std::move(out));
}

Value StripTagsFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  const std::string text = ToStr(interpreter.meter(), input);
  std::string plain;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find('<', at);
    const bool comment = open != std::string::npos && text.compare(open, 4, "<!--") == 0;
    const size_t close = open == std::string::npos ? open
                         : comment                 ? text.find("-->", open)
                                                   : text.find('>', open);
    if (close == std::string::npos) break;
    plain.append(text, at, open - at);
    at = close + (comment ? 3 : 1);
  }
  if (at < text.size()) plain.append(text, at);
  std::string out;
  const auto words = SplitWhitespace(plain, -1, interpreter.meter().max_parts());
  if (!interpreter.meter().CanAllocateParts(words.size())) return Value();
  for (const std::string_view word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  for (const auto& [entity, character] : {std::pair{"&lt;", "<"},
                                          {"&gt;", ">"},
                                          {"&#34;", "\""},
                                          {"&quot;", "\""},
                                          {"&#39;", "'"},
                                          {"&amp;", "&"}}) {
    out = Replace(out, entity, character, -1);
  }
  return Text(interpreter, std::move(out));
}

void AppendUrlQuoted(std::string_view text, bool in_query, std::string* out) {
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view("_.-~").find(c) != std::string_view::npos ||
                       (c == '/' && !in_query);
    if (plain) {
      *out += c;
    } else if (c == ' ' && in_query) {
      *out += '+';
    } else {
      *out += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
}

Value UrlEncodeFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  Meter& meter = interpreter.meter();
  std::string out;
  if (input.is_string() || !IsIterable(input)) {
    AppendUrlQuoted(ToStr(meter, input), false, &out);
    return Text(interpreter, std::move(out));
  }
  std::vector<Value> items;
  if (input.is_dict()) {
    for (const auto& [key, value] : input.dict().entries)
      items.push_back(Value::Tuple(meter, {key, value}));
  } else if (!Iterate(meter, input, &items)) {
    return Value();
  }
  for (const Value& item : items) {
    std::vector<Value> pair;
    if (!Iterate(meter, item, &pair)) return Value();
    if (pair.size() != 2) return interpreter.Fail("urlencode() needs pairs");
    if (!out.empty()) out += '&';
    AppendUrlQuoted(ToStr(meter, pair[0]), true, &out);
    out += '=';
    AppendUrlQuoted(ToStr(meter, pair[1]), true, &out);
  }
  return Text(interpreter, std::move(out));
}

Value XmlAttrFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "xmlattr", arguments, {"autospace"}, 0, &given)) return Value();
  if (!input.is_dict())
    return interpreter.Fail("xmlattr() needs a mapping, not {}", TypeName(input));
  std::string out;
  for (const auto& [key, value] : input.dict().entries) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string name = ToStr(interpreter.meter(), key);
    if (name.find_first_of(" \t\n\r\f/>=") != std::string::npos) {
      return interpreter.Fail("invalid character in attribute name '{}'", name);
    }
    if (!out.empty()) out += ' ';
    out += HtmlEscape(name) + "=\"" + HtmlEscape(ToStr(interpreter.meter(), value)) + "\"";
  }
  if (!out.empty() && (given[0] == nullptr || Truthy(*given[0]))) out.insert(0, " ");
  return Text(interpreter, std::move(out));
}

// Python lays long values out over several lines; here a value stays on one, which is the same for
// short ones.
Value PprintFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  return Text(interpreter, ToRepr(interpreter.meter(), input));
}

constexpr Filter kTextFilters[] = {
    {"capitalize", CapitalizeFilter},
    {"center", CenterFilter},
    {"e", EscapeFilter},
    {"escape", EscapeFilter},
    {"forceescape", ForceEscapeFilter},
    {"format", FormatFilter},
    {"indent", IndentFilter},
    {"lower", LowerFilter},
    {"pprint", PprintFilter},
    {"replace", ReplaceFilter},
    {"safe", SafeFilter},
    {"string", StringFilter},
    {"striptags", StripTagsFilter},
    {"title", TitleFilter},
    {"trim", TrimFilter},
    {"truncate", TruncateFilter},
    {"upper", UpperFilter},
    {"urlencode", UrlEncodeFilter},
    {"wordcount", WordCountFilter},
    {"wordwrap", WordWrapFilter},
    {"xmlattr", XmlAttrFilter},
};

}  // namespace

std::span<const Filter> TextFilters() { return kTextFilters; }

}  // namespace puna::chat::jinja
