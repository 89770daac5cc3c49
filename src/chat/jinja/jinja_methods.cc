// The methods of Python's str, list, tuple and dict, one table per type. A method that would change
// its object is listed so that it can be refused by name; appending to lists works where the host
// allows it.
#include <algorithm>
#include <optional>

#include "base/text.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

using Given = std::vector<const Value*>;

bool IsSet(const Value* value) { return value != nullptr && !value->is_none(); }

// Binds arguments of which the first `num_strings` must be strings if given and the others
// integers. None counts as absent.
bool BindTyped(Interpreter& interpreter, std::string_view method, const Arguments& arguments,
               std::initializer_list<std::string_view> names, size_t required, size_t num_strings,
               Given* given) {
  if (!Bind(interpreter.meter(), method, arguments, names, required, given)) return false;
  for (size_t i = 0; i < given->size(); ++i) {
    const Value*& value = (*given)[i];
    if (!IsSet(value)) {
      if (i < required)
        return interpreter.meter().Fail("{}() argument '{}' must not be None", method,
                                        names.begin()[i]);
      value = nullptr;
    } else if (i < num_strings ? !value->is_string() : !value->is_integral()) {
      return interpreter.meter().Fail("{}() argument '{}' must be {}, not {}", method,
                                      names.begin()[i], i < num_strings ? "str" : "int",
                                      TypeName(*value));
    }
  }
  return true;
}

Value Text(Interpreter& interpreter, const Value& self, std::string text) {
  return Value::String(interpreter.meter(), std::move(text), self.is_markup());
}

Value Texts(Interpreter& interpreter, const Value& self,
            const std::vector<std::string_view>& parts) {
  if (!interpreter.meter().CanAllocateParts(parts.size())) return Value();
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts)
    items.push_back(Text(interpreter, self, std::string(part)));
  return Value::List(interpreter.meter(), std::move(items));
}

template <std::string (*Convert)(std::string_view)>
Value Converted(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "str method", arguments, {}, 0, &given)) return Value();
  return Text(interpreter, self, Convert(self.text()));
}

template <bool kLeft, bool kRight>
Value StripMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "strip", arguments, {"chars"}, 0, 1, &given)) return Value();
  std::string_view characters;
  if (given[0] != nullptr) characters = given[0]->text();
  if (!interpreter.meter().Charge(self.text().size() / 64 + characters.size())) return Value();
  return Text(
      interpreter, self,
      std::string(Strip(self.text(), given[0] != nullptr ? &characters : nullptr, kLeft, kRight)));
}

template <bool kFromRight>
Value SplitMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "split", arguments, {"sep", "maxsplit"}, 0, 1, &given))
    return Value();
  const int64_t max_splits = given[1] != nullptr ? given[1]->AsInt() : -1;
  const std::string_view text = self.text();
  const size_t most = interpreter.meter().max_parts();
  if (given[0] == nullptr) {
    return Texts(interpreter, self,
                 kFromRight ? SplitWhitespaceRight(text, max_splits, most)
                            : SplitWhitespace(text, max_splits, most));
  }
  const std::string_view separator = given[0]->text();
  if (separator.empty()) return interpreter.Fail("empty separator");
  return Texts(interpreter, self,
               kFromRight ? SplitByRight(text, separator, max_splits, most)
                          : SplitBy(text, separator, max_splits, most));
}

Value SplitLinesMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "splitlines", arguments, {"keepends"}, 0, &given)) return Value();
  return Texts(interpreter, self,
               SplitLines(self.text(), given[0] != nullptr && Truthy(*given[0]),
                          interpreter.meter().max_parts()));
}

template <bool kFromRight>
Value PartitionMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "partition", arguments, {"sep"}, 1, 1, &given)) return Value();
  const std::string& separator = given[0]->text();
  if (separator.empty()) return interpreter.Fail("empty separator");
  const std::string& text = self.text();
  const size_t at = kFromRight ? FindLastText(text, separator) : FindText(text, separator);
  std::vector<std::string> parts;
  if (at != std::string::npos) {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  } else if (kFromRight) {
    parts = {"", "", text};
  } else {
    parts = {text, "", ""};
  }
  std::vector<Value> items;
  for (std::string& part : parts) items.push_back(Text(interpreter, self, std::move(part)));
  return Value::Tuple(interpreter.meter(), std::move(items));
}

// The part of `self` that the optional arguments start and end select; none where it would begin
// behind its end.
std::optional<std::string_view> Window(const Value& self, const Value* start, const Value* end,
                                       int64_t* offset) {
  const std::string& text = self.text();
  *offset = 0;
  if (start == nullptr && end == nullptr) return text;
  const int64_t length = CountCodepoints(text);
  const auto from_front = [&](int64_t index) {
    return index < 0 ? std::max<int64_t>(index + length, 0) : index;
  };
  if (start != nullptr) *offset = from_front(start->AsInt());
  const int64_t stop = end != nullptr ? std::min(from_front(end->AsInt()), length) : length;
  if (*offset > stop) return std::nullopt;
  return SliceCodepoints(text, *offset, stop);
}

template <bool kAtStart>
Value AffixMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), kAtStart ? "startswith" : "endswith", arguments,
            {"affix", "start", "end"}, 1, &given)) {
    return Value();
  }
  for (size_t i = 1; i < 3; ++i) {
    if (IsSet(given[i]) && !given[i]->is_integral())
      return interpreter.Fail("slice indices must be integers");
    if (!IsSet(given[i])) given[i] = nullptr;
  }
  int64_t offset = 0;
  const std::optional<std::string_view> text = Window(self, given[1], given[2], &offset);
  std::vector<Value> affixes = {*given[0]};
  if (given[0]->is_sequence(SequenceType::kTuple)) affixes = given[0]->sequence().items;
  for (const Value& affix : affixes) {
    if (!affix.is_string()) {
      return interpreter.Fail("startswith and endswith need a str or a tuple of str, not {}",
                              TypeName(affix));
    }
    if (text && (kAtStart ? text->starts_with(affix.text()) : text->ends_with(affix.text())))
      return Value::Bool(true);
  }
  return Value::Bool(false);
}

// find, rfind, index and rindex: the position, counted in characters.
template <bool kFromRight, bool kMustExist>
Value FindTextMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "find", arguments, {"sub", "start", "end"}, 1, 1, &given))
    return Value();
  int64_t offset = 0;
  if (const auto text = Window(self, given[1], given[2], &offset)) {
    const std::string& part = given[0]->text();
    const size_t at = kFromRight ? FindLastText(*text, part) : FindText(*text, part);
    if (at != std::string_view::npos)
      return Value::Int(offset + CountCodepoints(text->substr(0, at)));
  }
  if (kMustExist) return interpreter.Fail("substring not found");
  return Value::Int(-1);
}

Value CountTextMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "count", arguments, {"sub", "start", "end"}, 1, 1, &given))
    return Value();
  int64_t offset = 0;
  const auto text = Window(self, given[1], given[2], &offset);
  return Value::Int(text ? CountMatches(*text, given[0]->text(), -1) : 0);
}

Value ReplaceMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "replace", arguments, {"old", "new", "count"}, 2, 2, &given))
    return Value();
  const int64_t max_count = given[2] != nullptr ? given[2]->AsInt() : -1;
  const std::string& to = given[1]->text();
  const int64_t count = CountMatches(self.text(), given[0]->text(), max_count);
  if (count > 0 &&
      to.size() > interpreter.meter().limits().max_live_bytes / static_cast<uint64_t>(count)) {
    interpreter.meter().CanAllocate(UINT64_MAX);
    return Value();
  }
  if (!interpreter.meter().CanAllocate(self.text().size() +
                                       to.size() * static_cast<uint64_t>(count)))
    return Value();
  return Text(interpreter, self, Replace(self.text(), given[0]->text(), to, max_count));
}

Value RemovePrefix(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "removeprefix", arguments, {"prefix"}, 1, 1, &given)) return Value();
  const bool has = self.text().starts_with(given[0]->text());
  return Text(interpreter, self, has ? self.text().substr(given[0]->text().size()) : self.text());
}

Value RemoveSuffix(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "removesuffix", arguments, {"suffix"}, 1, 1, &given)) return Value();
  const bool has = self.text().ends_with(given[0]->text());
  return Text(
      interpreter, self,
      has ? self.text().substr(0, self.text().size() - given[0]->text().size()) : self.text());
}

enum class Align { kLeft, kRight, kCenter };

template <Align kAlign>
Value JustifyMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "justify", arguments, {"width", "fillchar"}, 1, &given))
    return Value();
  if (!given[0]->is_integral())
    return interpreter.Fail("a width must be an integer, not {}", TypeName(*given[0]));
  const std::string fill = given[1] != nullptr ? ToStr(interpreter.meter(), *given[1]) : " ";
  if (CountCodepoints(fill) != 1)
    return interpreter.Fail("the fill character must be exactly one character long");
  const int64_t length = CountCodepoints(self.text());
  if (given[0]->AsInt() <= length) return self;
  const int64_t missing = given[0]->AsInt() - length;
  if (!interpreter.meter().CanAllocate(static_cast<uint64_t>(missing))) return Value();
  int64_t left = kAlign == Align::kLeft ? 0 : kAlign == Align::kRight ? missing : missing / 2;
  if (kAlign == Align::kCenter)
    left += missing & given[0]->AsInt() & 1;  // CPython's choice for odd rests
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += fill;
  text += self.text();
  for (int64_t i = left; i < missing; ++i) text += fill;
  return Text(interpreter, self, std::move(text));
}

Value ZfillMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "zfill", arguments, {"width"}, 1, 0, &given)) return Value();
  const int64_t length = CountCodepoints(self.text());
  if (given[0]->AsInt() <= length) return self;
  const int64_t missing = given[0]->AsInt() - length;
  if (!interpreter.meter().CanAllocate(static_cast<uint64_t>(missing))) return Value();
  const bool has_sign = !self.text().empty() && (self.text()[0] == '-' || self.text()[0] == '+');
  return Text(interpreter, self,
              (has_sign ? self.text().substr(0, 1) : "") +
                  std::string(static_cast<size_t>(missing), '0') +
                  self.text().substr(has_sign ? 1 : 0));
}

Value ExpandTabs(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "expandtabs", arguments, {"tabsize"}, 0, 0, &given)) return Value();
  const int64_t tab = given[0] != nullptr ? given[0]->AsInt() : 8;
  if (tab > 1000) return interpreter.Fail("expandtabs() takes at most 1000, not {}", tab);
  const auto tabs = std::count(self.text().begin(), self.text().end(), '\t');
  if (!interpreter.meter().CanAllocate(self.text().size() + static_cast<uint64_t>(tabs) * 1000))
    return Value();
  std::string text;
  int64_t column = 0;
  for (const std::string_view character : Characters(self.text())) {
    if (character == "\t") {
      const int64_t spaces = tab > 0 ? tab - column % tab : 0;
      text.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
    } else {
      text += character;
      column = character == "\n" || character == "\r" ? 0 : column + 1;
    }
  }
  return Text(interpreter, self, std::move(text));
}

Value JoinMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  if (!Bind(meter, "join", arguments, {"iterable"}, 1, &given)) return Value();
  if (!Iterate(meter, *given[0], &items)) return Value();
  uint64_t bytes = 0;
  for (const Value& item : items) {
    if (!item.is_string())
      return interpreter.Fail("join() needs str items, not {}", TypeName(item));
    bytes += item.text().size() + self.text().size();
    if (bytes > meter.limits().max_live_bytes) break;
  }
  if (!meter.CanAllocate(bytes)) return Value();
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += self.text();
    text += items[i].text();
  }
  return Text(interpreter, self, std::move(text));
}

Value FormatMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  return BraceFormat(interpreter, self, arguments);
}

// Whether `Holds` for all characters; kOfNone where there are none.
template <bool (*Holds)(char32_t), bool kOfNone = false>
Value AllMethod(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "str method", arguments, {}, 0, &given)) return Value();
  bool all = kOfNone || !self.text().empty();
  for (const std::string_view character : Characters(self.text()))
    all &= Holds(DecodeOne(character));
  return Value::Bool(all);
}

bool IsAlnum(char32_t c) { return IsPyAlpha(c) || IsPyNumeric(c); }
bool IsAscii(char32_t c) { return c < 0x80; }

// islower and isupper: some cased character, and none of the other case.
template <bool (*Wanted)(char32_t), bool (*Other)(char32_t)>
Value CaseMethod(Interpreter&, const Value& self, Arguments&) {
  bool found = false;
  for (const std::string_view character : Characters(self.text())) {
    const char32_t c = DecodeOne(character);
    if (Other(c)) return Value::Bool(false);
    found |= Wanted(c);
  }
  return Value::Bool(found);
}

Value IsTitleMethod(Interpreter&, const Value& self, Arguments&) {
  bool found = false;
  bool inside_word = false;
  for (const std::string_view character : Characters(self.text())) {
    const char32_t c = DecodeOne(character);
    const bool upper = IsPyUpper(c);
    const bool lower = IsPyLower(c);
    if ((upper && inside_word) || (lower && !inside_word)) return Value::Bool(false);
    found |= upper;
    inside_word = upper || lower;
  }
  return Value::Bool(found);
}

Value IsIdentifierMethod(Interpreter&, const Value& self, Arguments&) {
  bool good = !self.text().empty();
  bool first = true;
  for (const std::string_view character : Characters(self.text())) {
    const char32_t c = DecodeOne(character);
    good &= c == '_' || IsPyAlpha(c) || (!first && IsPyDecimal(c));
    first = false;
  }
  return Value::Bool(good);
}

Value Refused(Interpreter& interpreter, const Value& self, Arguments&) {
  return interpreter.Fail("{} objects cannot be changed", TypeName(self));
}

Value CountItems(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "count", arguments, {"value"}, 1, &given)) return Value();
  int64_t count = 0;
  for (const Value& item : self.sequence().items)
    count += Equals(interpreter.meter(), item, *given[0]) ? 1 : 0;
  return Value::Int(count);
}

Value IndexOfItem(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "index", arguments, {"value"}, 1, &given)) return Value();
  const auto& items = self.sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (Equals(interpreter.meter(), items[i], *given[0]))
      return Value::Int(static_cast<int64_t>(i));
  }
  return interpreter.Fail("the value is not in the list");
}

Value CopyList(Interpreter& interpreter, const Value& self, Arguments&) {
  return Value::List(interpreter.meter(), self.sequence().items);
}

// Jinja's sandbox of Debian 12 lets pop and clear pass although they change the list.
Value PopItem(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!BindTyped(interpreter, "pop", arguments, {"index"}, 0, 0, &given)) return Value();
  auto& items = self.sequence().items;
  const auto length = static_cast<int64_t>(items.size());
  int64_t index = given[0] != nullptr ? given[0]->AsInt() : -1;
  if (index < 0) index += length;
  if (index < 0 || index >= length)
    return interpreter.Fail("pop from an empty list or index out of range");
  const Value item = items[static_cast<size_t>(index)];
  items.erase(items.begin() + static_cast<ptrdiff_t>(index));
  return item;
}

Value ClearList(Interpreter&, const Value& self, Arguments&) {
  self.sequence().items.clear();
  return Value::None();
}

void Grow(Interpreter& interpreter, const Value& self, const Value& item, size_t at) {
  auto& list = self.sequence();
  interpreter.meter().Pin(self.object());
  constexpr uint64_t kItemBytes = sizeof(Value) + 16;
  list.charged_bytes += kItemBytes;
  interpreter.meter().Allocated(kItemBytes);
  list.depth = std::max(list.depth, std::min(item.depth() + 1, 150));
  list.items.insert(list.items.begin() + static_cast<ptrdiff_t>(at), item);
}

Value AppendItem(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "append", arguments, {"object"}, 1, &given)) return Value();
  Grow(interpreter, self, *given[0], self.sequence().items.size());
  return Value::None();
}

Value ExtendList(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  std::vector<Value> items;
  if (!Bind(interpreter.meter(), "extend", arguments, {"iterable"}, 1, &given)) return Value();
  if (!Iterate(interpreter.meter(), *given[0], &items)) return Value();
  for (const Value& item : items) Grow(interpreter, self, item, self.sequence().items.size());
  return Value::None();
}

Value InsertItem(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "insert", arguments, {"index", "object"}, 2, &given))
    return Value();
  if (!given[0]->is_integral()) return interpreter.Fail("insert() needs an integer index");
  const auto length = static_cast<int64_t>(self.sequence().items.size());
  const int64_t index = given[0]->AsInt() < 0 ? given[0]->AsInt() + length : given[0]->AsInt();
  Grow(interpreter, self, *given[1], static_cast<size_t>(std::clamp<int64_t>(index, 0, length)));
  return Value::None();
}

Value GetKey(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Given given;
  if (!Bind(interpreter.meter(), "get", arguments, {"key", "default"}, 1, &given)) return Value();
  if (const Value* value = self.dict().Find(interpreter.meter(), *given[0])) return *value;
  return given[1] != nullptr ? *given[1] : Value::None();
}

template <SequenceType kType>
Value DictView(Interpreter& interpreter, const Value& self, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  if (!Bind(meter, "dict method", arguments, {}, 0, &given)) return Value();
  std::vector<Value> items;
  items.reserve(self.dict().entries.size());
  for (const auto& [key, value] : self.dict().entries) {
    if (kType == SequenceType::kItems) {
      items.push_back(Value::Tuple(meter, {key, value}));
    } else {
      items.push_back(kType == SequenceType::kKeys ? key : value);
    }
  }
  return Value::Sequence(meter, std::move(items), kType);
}

Value CopyDict(Interpreter& interpreter, const Value& self, Arguments&) {
  auto dict = MakeDict(interpreter.meter());
  for (const auto& [key, value] : self.dict().entries) dict->Set(interpreter.meter(), key, value);
  return Value::Dict(std::move(dict));
}

Value IsIntegerMethod(Interpreter&, const Value& self, Arguments&) {
  return Value::Bool(self.AsDouble() == static_cast<double>(static_cast<int64_t>(
                                            std::clamp(self.AsDouble(), -9e18, 9e18))));
}

constexpr Method kStringMethods[] = {
    {"capitalize", Converted<Capitalize>},
    {"casefold", Converted<Lower>},
    {"center", JustifyMethod<Align::kCenter>},
    {"count", CountTextMethod},
    {"endswith", AffixMethod<false>},
    {"expandtabs", ExpandTabs},
    {"find", FindTextMethod<false, false>},
    {"format", FormatMethod},
    {"index", FindTextMethod<false, true>},
    {"isalnum", AllMethod<IsAlnum>},
    {"isalpha", AllMethod<IsPyAlpha>},
    {"isascii", AllMethod<IsAscii, true>},
    {"isdecimal", AllMethod<IsPyDecimal>},
    {"isdigit", AllMethod<IsPyDigit>},
    {"isidentifier", IsIdentifierMethod},
    {"islower", CaseMethod<IsPyLower, IsPyUpper>},
    {"isnumeric", AllMethod<IsPyNumeric>},
    {"isprintable", AllMethod<IsPyPrintable, true>},
    {"isspace", AllMethod<IsPySpace>},
    {"istitle", IsTitleMethod},
    {"isupper", CaseMethod<IsPyUpper, IsPyLower>},
    {"join", JoinMethod},
    {"ljust", JustifyMethod<Align::kLeft>},
    {"lower", Converted<Lower>},
    {"lstrip", StripMethod<true, false>},
    {"partition", PartitionMethod<false>},
    {"removeprefix", RemovePrefix},
    {"removesuffix", RemoveSuffix},
    {"replace", ReplaceMethod},
    {"rfind", FindTextMethod<true, false>},
    {"rindex", FindTextMethod<true, true>},
    {"rjust", JustifyMethod<Align::kRight>},
    {"rpartition", PartitionMethod<true>},
    {"rsplit", SplitMethod<true>},
    {"rstrip", StripMethod<false, true>},
    {"split", SplitMethod<false>},
    {"splitlines", SplitLinesMethod},
    {"startswith", AffixMethod<true>},
    {"strip", StripMethod<true, true>},
    {"swapcase", Converted<SwapCase>},
    {"title", Converted<Title>},
    {"upper", Converted<Upper>},
    {"zfill", ZfillMethod},
};

constexpr Method kListMethods[] = {
    {"append", AppendItem, true}, {"clear", ClearList},
    {"copy", CopyList},           {"count", CountItems},
    {"extend", ExtendList, true}, {"index", IndexOfItem},
    {"insert", InsertItem, true}, {"pop", PopItem},
    {"remove", Refused, true},    {"reverse", Refused, true},
    {"sort", Refused, true},
};

constexpr Method kTupleMethods[] = {{"count", CountItems}, {"index", IndexOfItem}};

constexpr Method kDictMethods[] = {
    {"clear", Refused, true},
    {"copy", CopyDict},
    {"get", GetKey},
    {"items", DictView<SequenceType::kItems>},
    {"keys", DictView<SequenceType::kKeys>},
    {"pop", Refused, true},
    {"popitem", Refused, true},
    {"setdefault", Refused, true},
    {"update", Refused, true},
    {"values", DictView<SequenceType::kValues>},
};

constexpr Method kFloatMethods[] = {{"is_integer", IsIntegerMethod}};

template <size_t kCount>
const Method* FindIn(const Method (&methods)[kCount], std::string_view name) {
  const auto* found = std::find_if(std::begin(methods), std::end(methods),
                                   [&](const Method& m) { return m.name == name; });
  return found == std::end(methods) ? nullptr : found;
}

}  // namespace

const Method* FindStringMethod(std::string_view name) { return FindIn(kStringMethods, name); }

const Method* FindMethod(const Value& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::kString:
      return FindIn(kStringMethods, name);
    case Kind::kDict:
      return FindIn(kDictMethods, name);
    case Kind::kFloat:
      return FindIn(kFloatMethods, name);
    case Kind::kSequence:
      if (self.is_sequence(SequenceType::kList)) return FindIn(kListMethods, name);
      if (self.is_sequence(SequenceType::kTuple) || self.is_sequence(SequenceType::kRange)) {
        return FindIn(kTupleMethods, name);
      }
      return nullptr;
    default:
      return nullptr;
  }
}

Value UnsafeMethod(Interpreter& interpreter, const Value& self, std::string_view name) {
  return Value::Undefined(
      interpreter.meter(),
      fmt::format("access to attribute '{}' of '{}' object is unsafe", name, TypeName(self)));
}

}  // namespace puna::chat::jinja
