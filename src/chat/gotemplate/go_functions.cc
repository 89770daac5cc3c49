// Go's predefined functions of text/template and Ollama's json, currentDate, yesterdayDate and
// toTypeScriptType: one table.
#include "chat/gotemplate/go_functions.h"

#include <fmt/format.h>

#include <algorithm>

#include "chat/gotemplate/go_ast.h"
#include "chat/gotemplate/go_printf.h"

namespace puna::chat::gotemplate {
namespace {

using Arguments = std::vector<GoValue>;
using Function = Result<GoValue> (*)(const Arguments&, const CallContext&);

template <typename... Args>
tl::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) {
  return MakeError(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

// -1, 0 or 1; Go compares numbers of one kind and strings, nothing else.
Result<int> Order(const GoValue& a, const GoValue& b) {
  if (a.kind() == GoKind::kInt && b.kind() == GoKind::kInt) {
    return a.AsInt() < b.AsInt() ? -1 : a.AsInt() > b.AsInt() ? 1 : 0;
  }
  // JSON numbers are float64 in Go and comparing them with an integer constant fails there; that
  // helps nobody.
  if (a.is_number() && b.is_number())
    return a.AsDouble() < b.AsDouble() ? -1 : a.AsDouble() > b.AsDouble() ? 1 : 0;
  if (a.is_string() && b.is_string()) return a.text() < b.text() ? -1 : a.text() > b.text() ? 1 : 0;
  if (a.kind() == b.kind() && (a.is_string() || a.is_number())) return 0;
  return Fail("incompatible types for comparison: {} and {}", a.TypeName(), b.TypeName());
}

Result<bool> Equal(const GoValue& a, const GoValue& b) {
  if (a.is_nil() || b.is_nil()) return a.is_nil() && b.is_nil();
  if (a.kind() == GoKind::kBool && b.kind() == GoKind::kBool) return a.AsBool() == b.AsBool();
  for (const GoValue* value : {&a, &b}) {
    if (value->kind() == GoKind::kList || value->kind() == GoKind::kMap ||
        value->kind() == GoKind::kStruct) {
      return Fail("non-comparable type {}", value->TypeName());
    }
  }
  PUNA_ASSIGN_OR_RETURN(const int order, Order(a, b));
  return order == 0;
}

// eq takes more than two arguments and asks whether the first equals any of the others.
Result<GoValue> Eq(const Arguments& arguments, const CallContext&) {
  if (arguments.size() < 2) return Fail("missing argument for comparison");
  for (size_t i = 1; i < arguments.size(); ++i) {
    PUNA_ASSIGN_OR_RETURN(const bool equal, Equal(arguments[0], arguments[i]));
    if (equal) return GoValue::Bool(true);
  }
  return GoValue::Bool(false);
}

Result<GoValue> Ne(const Arguments& arguments, const CallContext&) {
  if (arguments.size() != 2) return Fail("ne needs 2 arguments, got {}", arguments.size());
  PUNA_ASSIGN_OR_RETURN(const bool equal, Equal(arguments[0], arguments[1]));
  return GoValue::Bool(!equal);
}

template <bool (*Holds)(int)>
Result<GoValue> Ordered(const Arguments& arguments, const CallContext&) {
  if (arguments.size() != 2)
    return Fail("a comparison needs 2 arguments, got {}", arguments.size());
  PUNA_ASSIGN_OR_RETURN(const int order, Order(arguments[0], arguments[1]));
  return GoValue::Bool(Holds(order));
}

bool IsLess(int order) { return order < 0; }
bool IsLessOrEqual(int order) { return order <= 0; }
bool IsGreater(int order) { return order > 0; }
bool IsGreaterOrEqual(int order) { return order >= 0; }

Result<GoValue> Not(const Arguments& arguments, const CallContext&) {
  if (arguments.size() != 1) return Fail("not needs 1 argument, got {}", arguments.size());
  return GoValue::Bool(!arguments[0].Truth());
}

Result<int64_t> LengthOf(const GoValue& value) {
  switch (value.kind()) {
    case GoKind::kString:
      return static_cast<int64_t>(value.text().size());
    case GoKind::kList:
      return static_cast<int64_t>(value.items().size());
    case GoKind::kMap:
      return static_cast<int64_t>(value.fields().size());
    default:
      return Fail("len of type {}", value.TypeName());
  }
}

Result<GoValue> Len(const Arguments& arguments, const CallContext&) {
  if (arguments.size() != 1) return Fail("len needs 1 argument, got {}", arguments.size());
  PUNA_ASSIGN_OR_RETURN(const int64_t length, LengthOf(arguments[0]));
  return GoValue::Int(length);
}

Result<int64_t> IndexArgument(const GoValue& index, int64_t limit) {
  if (index.kind() != GoKind::kInt) return Fail("cannot index with type {}", index.TypeName());
  if (index.AsInt() < 0 || index.AsInt() > limit)
    return Fail("index out of range: {}", index.AsInt());
  return index.AsInt();
}

Result<GoValue> Index(const Arguments& arguments, const CallContext&) {
  if (arguments.empty()) return Fail("index needs an argument");
  GoValue value = arguments[0];
  for (size_t i = 1; i < arguments.size(); ++i) {
    const GoValue& key = arguments[i];
    if (value.kind() == GoKind::kMap) {
      if (!key.is_string()) return Fail("value has type {}; should be string", key.TypeName());
      const GoValue* found = value.Find(key.text());
      value = found != nullptr ? *found : GoValue();
    } else if (value.kind() == GoKind::kList || value.is_string()) {
      PUNA_ASSIGN_OR_RETURN(const int64_t length, LengthOf(value));
      PUNA_ASSIGN_OR_RETURN(const int64_t at, IndexArgument(key, length - 1));
      const auto position = static_cast<size_t>(at);
      value = value.is_string() ? GoValue::Int(static_cast<unsigned char>(value.text()[position]))
                                : GoValue(value.items()[position]);
    } else {
      return Fail("can't index item of type {}", value.TypeName());
    }
  }
  return value;
}

Result<GoValue> Slice(const Arguments& arguments, const CallContext&) {
  if (arguments.empty() || arguments.size() > 4)
    return Fail("slice needs 1 to 4 arguments, got {}", arguments.size());
  const GoValue& value = arguments[0];
  if (!value.is_string() && value.kind() != GoKind::kList)
    return Fail("can't slice item of type {}", value.TypeName());
  PUNA_ASSIGN_OR_RETURN(const int64_t length, LengthOf(value));
  int64_t bounds[3] = {0, length, length};
  for (size_t i = 1; i < arguments.size(); ++i) {
    PUNA_ASSIGN_OR_RETURN(bounds[i - 1], IndexArgument(arguments[i], length));
  }
  if (bounds[0] > bounds[1]) return Fail("invalid slice index: {} > {}", bounds[0], bounds[1]);
  if (value.is_string()) {
    return GoValue::String(value.text().substr(static_cast<size_t>(bounds[0]),
                                               static_cast<size_t>(bounds[1] - bounds[0])));
  }
  const GoValue slice =
      GoValue::List({value.items().begin() + bounds[0], value.items().begin() + bounds[1]});
  return value.prints_as_json() ? slice.PrintedAsJson() : slice;
}

// fmt.Sprint puts a space between operands of which neither is a string, fmt.Sprintln between all
// of them.
Result<GoValue> Print(const Arguments& arguments, const CallContext& context) {
  std::string out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i].is_string() && !arguments[i - 1].is_string()) out += ' ';
    out += PrintValue(arguments[i], false);
    if (out.size() > context.max_bytes)
      return Fail("print makes a text of more than {} bytes", context.max_bytes);
  }
  return GoValue::String(std::move(out));
}

Result<GoValue> Println(const Arguments& arguments, const CallContext& context) {
  std::string out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0) out += ' ';
    out += PrintValue(arguments[i], false);
    if (out.size() > context.max_bytes)
      return Fail("println makes a text of more than {} bytes", context.max_bytes);
  }
  return GoValue::String(out + "\n");
}

Result<GoValue> Printf(const Arguments& arguments, const CallContext& context) {
  if (arguments.empty() || !arguments[0].is_string())
    return Fail("printf needs a string as its first argument");
  PUNA_ASSIGN_OR_RETURN(std::string text,
                        Sprintf(arguments[0].text(), arguments, 1, context.max_bytes));
  return GoValue::String(std::move(text));
}

std::string Joined(const Arguments& arguments) {
  std::string out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i].is_string() && !arguments[i - 1].is_string()) out += ' ';
    out += PrintValue(arguments[i], false);
  }
  return out;
}

template <std::string (*Escape)(unsigned char)>
Result<GoValue> Escaped(const Arguments& arguments, const CallContext& context) {
  std::string out;
  for (const char c : Joined(arguments)) {
    out += Escape(static_cast<unsigned char>(c));
    if (out.size() > context.max_bytes)
      return Fail("an escaped text has more than {} bytes", context.max_bytes);
  }
  return GoValue::String(std::move(out));
}

std::string HtmlByte(unsigned char c) {
  switch (c) {
    case '\0':
      return "\xEF\xBF\xBD";
    case '"':
      return "&#34;";
    case '\'':
      return "&#39;";
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    default:
      return std::string(1, static_cast<char>(c));
  }
}

std::string JsByte(unsigned char c) {
  switch (c) {
    case '\\':
      return "\\\\";
    case '\'':
      return "\\'";
    case '"':
      return "\\\"";
    case '<':
      return "\\u003C";
    case '>':
      return "\\u003E";
    case '&':
      return "\\u0026";
    case '=':
      return "\\u003D";
    default:
      return c < 0x20 ? fmt::format("\\u{:04X}", static_cast<unsigned>(c))
                      : std::string(1, static_cast<char>(c));
  }
}

std::string UrlByte(unsigned char c) {
  if (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '~')
    return std::string(1, static_cast<char>(c));
  return c == ' ' ? "+" : fmt::format("%{:02X}", static_cast<unsigned>(c));
}

Result<GoValue> MarshalFunction(const Arguments& arguments, const CallContext& context) {
  if (arguments.size() != 1) return Fail("json needs 1 argument, got {}", arguments.size());
  std::string text = MarshalJson(arguments[0].ToJson());
  if (text.size() > context.max_bytes)
    return Fail("json makes a text of more than {} bytes", context.max_bytes);
  return GoValue::String(std::move(text));
}

template <int kDays>
Result<GoValue> Date(const Arguments&, const CallContext& context) {
  std::tm day = context.now;
  day.tm_mday += kDays;
  day.tm_hour = 12;  // far from any change of the clock
  day.tm_isdst = -1;
  if (std::mktime(&day) == -1) return Fail("the date is out of range");
  return GoValue::String(
      fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday));
}

Result<GoValue> ToTypeScript(const Arguments& arguments, const CallContext&) {
  if (arguments.size() != 1)
    return Fail("toTypeScriptType needs 1 argument, got {}", arguments.size());
  const std::string& type = arguments[0].type_script();
  return GoValue::String(type.empty() ? "any" : type);
}

Result<GoValue> CallValue(const Arguments& arguments, const CallContext&) {
  return Fail("call of a value that is no function: {}",
              arguments.empty() ? "nil" : arguments[0].TypeName());
}

// Reached only through a pipeline that ends in them; with all arguments evaluated, the first that
// decides is the result.
Result<GoValue> And(const Arguments& arguments, const CallContext&) {
  if (arguments.empty()) return Fail("and needs an argument");
  for (const GoValue& argument : arguments) {
    if (!argument.Truth()) return argument;
  }
  return arguments.back();
}

Result<GoValue> Or(const Arguments& arguments, const CallContext&) {
  if (arguments.empty()) return Fail("or needs an argument");
  for (const GoValue& argument : arguments) {
    if (argument.Truth()) return argument;
  }
  return arguments.back();
}

constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"and", And},
    {"call", CallValue},
    {"currentDate", Date<0>},
    {"eq", Eq},
    {"ge", Ordered<IsGreaterOrEqual>},
    {"gt", Ordered<IsGreater>},
    {"html", Escaped<HtmlByte>},
    {"index", Index},
    {"js", Escaped<JsByte>},
    {"json", MarshalFunction},
    {"le", Ordered<IsLessOrEqual>},
    {"len", Len},
    {"lt", Ordered<IsLess>},
    {"ne", Ne},
    {"not", Not},
    {"or", Or},
    {"print", Print},
    {"printf", Printf},
    {"println", Println},
    {"slice", Slice},
    {"toTypeScriptType", ToTypeScript},
    {"urlquery", Escaped<UrlByte>},
    {"yesterdayDate", Date<-1>},
};

const std::pair<std::string_view, Function>* Find(std::string_view name) {
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [&](const auto& f) { return f.first == name; });
  return found == std::end(kFunctions) ? nullptr : found;
}

std::string SimpleTypeScript(std::string_view type) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"string", "string"},
      {"number", "number"},
      {"integer", "number"},
      {"boolean", "boolean"},
      {"array", "any[]"},
      {"null", "null"},
      {"object", "Record<string, any>"}};
  for (const auto& [name, meaning] : kTypes) {
    if (name == type) return std::string(meaning);
  }
  return "any";
}

std::string JoinTypes(const Json& list, std::string (*convert)(const Json&)) {
  std::string out;
  for (const Json& item : list) out += (out.empty() ? "" : " | ") + convert(item);
  return out;
}

}  // namespace

bool IsFunction(std::string_view name) { return Find(name) != nullptr; }

Result<GoValue> CallFunction(std::string_view name, const std::vector<GoValue>& arguments,
                             const CallContext& context) {
  auto result = Find(name)->second(arguments, context);
  if (!result) return WithContext(std::move(result).error(), fmt::format("error calling {}", name));
  return result;
}

std::string TypeScriptType(const Json& property) {
  if (!property.is_object()) return "any";
  if (const auto any_of = property.find("anyOf");
      any_of != property.end() && any_of->is_array() && !any_of->empty()) {
    return JoinTypes(*any_of, [](const Json& one) { return TypeScriptType(one); });
  }
  const auto type = property.find("type");
  if (type == property.end()) return "any";
  if (type->is_string()) return SimpleTypeScript(type->get<std::string>());
  if (!type->is_array() || type->empty()) return "any";
  return JoinTypes(*type, [](const Json& one) {
    return SimpleTypeScript(one.is_string() ? one.get<std::string>() : "");
  });
}

}  // namespace puna::chat::gotemplate
