// Filters on sequences and mappings. Where Jinja returns a lazy generator, the items are computed
// at once but the result still behaves as one: it can be used once, has no length and is no JSON.
#include <algorithm>
#include <functional>

#include "chat/jinja/jinja_filters.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

using Given = std::vector<const Value*>;

Value Generator(Interpreter& interpreter, std::vector<Value> items) {
  return Value::Sequence(interpreter.meter(), std::move(items), SequenceType::kGenerator);
}

// "a.b.0" looked up step by step; null (Python's None) as path gives the item itself.
Value LookUpPath(Interpreter& interpreter, Value item, const Value* path) {
  if (path == nullptr || path->is_none()) return item;
  if (path->is_integral()) return interpreter.GetItem(item, *path);
  const std::string text = ToStr(interpreter.meter(), *path);
  const auto parts = SplitBy(text, ".", -1, interpreter.meter().max_parts());
  if (!interpreter.meter().CanAllocateParts(parts.size())) return Value();
  for (const std::string_view part : parts) {
    const bool is_index = !part.empty() && part.size() < 10 &&
                          part.find_first_not_of("0123456789") == std::string_view::npos;
    const Value key = is_index ? Value::Int(std::stoll(std::string(part)))
                               : Value::String(interpreter.meter(), std::string(part));
    item = interpreter.GetItem(item, key);
    if (interpreter.meter().failed()) break;
  }
  return item;
}

Value IgnoreCase(Interpreter& interpreter, const Value& value) {
  return value.is_string() ? Value::String(interpreter.meter(), Lower(value.text())) : value;
}

// The values to compare items by: the attribute, or the item, without case unless wanted.
bool SortKeys(Interpreter& interpreter, const std::vector<Value>& items, const Value* attribute,
              bool case_sensitive, std::vector<Value>* keys) {
  for (const Value& item : items) {
    const Value key = LookUpPath(interpreter, item, attribute);
    keys->push_back(case_sensitive ? key : IgnoreCase(interpreter, key));
    if (interpreter.meter().failed()) return false;
  }
  return true;
}

// A stable merge sort, because std::stable_sort may not be given an order that contradicts itself
// (nan, or a failing comparison). Returns the positions in order.
std::vector<size_t> SortedPositions(Meter& meter, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<size_t> merged(order.size());
  for (size_t width = 1; width < order.size() && !meter.failed(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size());
      const size_t end = std::min(begin + 2 * width, order.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          int less = 0;
          Compare(meter, keys[order[right]], keys[order[left]], &less);
          take_right = less == (reverse ? 1 : -1);
        }
        merged[out] = order[take_right ? right++ : left++];
      }
    }
    std::swap(order, merged);
  }
  return order;
}

bool Flag(const Value* value) { return value != nullptr && Truthy(*value); }

Value Sort(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  if (!Bind(meter, "sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0, &given))
    return Value();
  if (!Iterate(meter, input, &items)) return Value();
  // As in Python, a key is a list with a part for each attribute, also where there is only one; so
  // what has none of them equals its like.
  std::vector<Value> paths;
  if (given[2] != nullptr && given[2]->is_string()) {
    const auto parts = SplitBy(given[2]->text(), ",", -1, meter.max_parts());
    if (!meter.CanAllocateParts(parts.size())) return Value();
    for (const std::string_view path : parts)
      paths.push_back(Value::String(meter, std::string(path)));
  } else {
    paths.push_back(given[2] != nullptr ? *given[2] : Value::None());
  }
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const Value& path : paths) {
      const Value part = LookUpPath(interpreter, item, &path);
      parts.push_back(Flag(given[1]) ? part : IgnoreCase(interpreter, part));
      if (meter.failed()) return Value();
    }
    keys.push_back(Value::List(meter, std::move(parts)));
  }
  std::vector<Value> sorted;
  for (const size_t position : SortedPositions(meter, keys, Flag(given[0])))
    sorted.push_back(items[position]);
  return Value::List(meter, std::move(sorted));
}

Value DictSort(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  if (!Bind(meter, "dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0, &given))
    return Value();
  if (input.is_undefined()) return interpreter.Fail("{}", input.why_undefined());
  if (!input.is_dict())
    return interpreter.Fail("'{}' object has no attribute 'items'", TypeName(input));
  const std::string by = given[1] != nullptr ? ToStr(meter, *given[1]) : "key";
  if (by != "key" && by != "value")
    return interpreter.Fail("you can only sort by either \"key\" or \"value\"");
  std::vector<Value> keys;
  for (const auto& [key, value] : input.dict().entries) {
    const Value& chosen = by == "key" ? key : value;
    keys.push_back(Flag(given[0]) ? chosen : IgnoreCase(interpreter, chosen));
  }
  std::vector<Value> pairs;
  for (const size_t position : SortedPositions(meter, keys, Flag(given[2]))) {
    const auto& [key, value] = input.dict().entries[position];
    pairs.push_back(Value::Tuple(meter, {key, value}));
  }
  return Value::List(meter, std::move(pairs));
}

Value GroupBy(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  if (!Bind(meter, "groupby", arguments, {"attribute", "default", "case_sensitive"}, 1, &given))
    return Value();
  if (!Iterate(meter, input, &items)) return Value();
  std::vector<Value> keys;
  std::vector<Value> shown;
  for (const Value& item : items) {
    Value key = LookUpPath(interpreter, item, given[0]);
    if (key.is_undefined() && given[1] != nullptr && !given[1]->is_none()) key = *given[1];
    if (meter.failed()) return Value();
    shown.push_back(key);
    keys.push_back(Flag(given[2]) ? key : IgnoreCase(interpreter, key));
  }
  std::vector<Value> groups;
  std::vector<Value> members;
  const std::vector<size_t> order = SortedPositions(meter, keys, false);
  for (size_t i = 0; i < order.size() && !meter.failed(); ++i) {
    members.push_back(items[order[i]]);
    const bool ends = i + 1 == order.size() || !Equals(meter, keys[order[i]], keys[order[i + 1]]);
    if (!ends) continue;
    // The name of a group is as its first member has it.
    const Value& name = shown[order[i + 1 - members.size()]];
    Value group = Value::Tuple(meter, {name, Value::List(meter, members)});
    if (group.is_sequence()) group.sequence().is_group = true;
    groups.push_back(std::move(group));
    members.clear();
  }
  return Value::List(meter, std::move(groups));
}

Value Unique(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  std::vector<Value> keys;
  if (!Bind(meter, "unique", arguments, {"case_sensitive", "attribute"}, 0, &given)) return Value();
  if (!Iterate(meter, input, &items)) return Value();
  if (!SortKeys(interpreter, items, given[1], Flag(given[0]), &keys)) return Value();
  auto seen = MakeDict(meter);
  std::vector<Value> unique;
  for (size_t i = 0; i < items.size(); ++i) {
    if (seen->Find(meter, keys[i]) != nullptr) continue;
    if (!seen->Set(meter, keys[i], Value::None())) return Value();
    unique.push_back(items[i]);
  }
  return Generator(interpreter, std::move(unique));
}

template <bool kMaximum>
Value Extreme(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  std::vector<Value> keys;
  if (!Bind(meter, kMaximum ? "max" : "min", arguments, {"case_sensitive", "attribute"}, 0, &given))
    return Value();
  if (!Iterate(meter, input, &items)) return Value();
  if (!SortKeys(interpreter, items, given[1], Flag(given[0]), &keys)) return Value();
  if (items.empty()) return Value::Undefined(meter, "no aggregated item, sequence was empty");
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    int order = 0;
    if (!Compare(meter, keys[i], keys[best], &order)) return Value();
    if (order == (kMaximum ? 1 : -1)) best = i;
  }
  return items[best];
}

Value Sum(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  if (!Bind(meter, "sum", arguments, {"attribute", "start"}, 0, &given)) return Value();
  if (!Iterate(meter, input, &items)) return Value();
  Value sum = given[1] != nullptr ? *given[1] : Value::Int(0);
  if (sum.is_string()) return interpreter.Fail("sum() can't sum strings");
  for (const Value& item : items) {
    const Value term = LookUpPath(interpreter, item, given[0]);
    if (meter.failed()) return Value();
    sum = BinaryOperation(interpreter, BinaryOp::kAdd, sum, term);
  }
  return sum;
}

Value Join(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  if (!Bind(meter, "join", arguments, {"d", "attribute"}, 0, &given)) return Value();
  if (!Iterate(meter, input, &items)) return Value();
  const std::string separator = given[0] != nullptr ? ToStr(meter, *given[0]) : "";
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string piece = ToStr(meter, LookUpPath(interpreter, items[i], given[1]));
    if (meter.failed() || !meter.CanAllocate(out.size() + separator.size() + piece.size()))
      return Value();
    if (i > 0) out += separator;
    out += piece;
  }
  return Value::String(meter, std::move(out));
}

Value First(Interpreter& interpreter, const Value& input, Arguments&) {
  std::vector<Value> items;
  if (!Iterate(interpreter.meter(), input, &items)) return Value();
  if (!items.empty()) return items.front();
  return Value::Undefined(interpreter.meter(), "no first item, sequence was empty");
}

Value Last(Interpreter& interpreter, const Value& input, Arguments&) {
  std::vector<Value> items;
  if (input.is_sequence(SequenceType::kGenerator))
    return interpreter.Fail("'generator' object is not reversible");
  if (!Iterate(interpreter.meter(), input, &items)) return Value();
  if (!items.empty()) return items.back();
  return Value::Undefined(interpreter.meter(), "no last item, sequence was empty");
}

Value LengthFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  int64_t length = 0;
  Length(interpreter.meter(), input, &length);
  return Value::Int(length);
}

Value ListFilter(Interpreter& interpreter, const Value& input, Arguments&) {
  std::vector<Value> items;
  if (!Iterate(interpreter.meter(), input, &items)) return Value();
  return Value::List(interpreter.meter(), std::move(items));
}

Value Items(Interpreter& interpreter, const Value& input, Arguments&) {
  std::vector<Value> pairs;
  if (input.is_undefined()) return Generator(interpreter, {});
  if (!input.is_dict()) return interpreter.Fail("can only get item pairs from a mapping");
  for (const auto& [key, value] : input.dict().entries)
    pairs.push_back(Value::Tuple(interpreter.meter(), {key, value}));
  return Generator(interpreter, std::move(pairs));
}

Value Reverse(Interpreter& interpreter, const Value& input, Arguments&) {
  std::vector<Value> items;
  if (!Iterate(interpreter.meter(), input, &items)) return Value();
  std::reverse(items.begin(), items.end());
  if (!input.is_string()) return Generator(interpreter, std::move(items));
  std::string out;
  for (const Value& item : items) out += item.text();
  return Value::String(interpreter.meter(), std::move(out), input.is_markup());
}

// The argument that counts groups: an integer from 1 to the largest range.
bool GroupCount(Interpreter& interpreter, const Value& value, int64_t* count) {
  if (!value.is_integral() || value.AsInt() < 1 || value.AsInt() > 100'000) {
    return interpreter.meter().Fail("expected a count from 1 to 100000, got {}",
                                    ToRepr(interpreter.meter(), value));
  }
  *count = value.AsInt();
  return true;
}

Value Batch(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  int64_t size = 0;
  if (!Bind(meter, "batch", arguments, {"linecount", "fill_with"}, 1, &given)) return Value();
  if (!GroupCount(interpreter, *given[0], &size) || !Iterate(meter, input, &items)) return Value();
  std::vector<Value> batches;
  std::vector<Value> batch;
  for (size_t i = 0; i < items.size(); ++i) {
    batch.push_back(items[i]);
    const bool last = i + 1 == items.size();
    while (last && given[1] != nullptr && !given[1]->is_none() &&
           static_cast<int64_t>(batch.size()) < size) {
      batch.push_back(*given[1]);
    }
    if (!last && static_cast<int64_t>(batch.size()) < size) continue;
    batches.push_back(Value::List(meter, std::move(batch)));
    batch.clear();
  }
  return Generator(interpreter, std::move(batches));
}

Value SliceFilter(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  Given given;
  std::vector<Value> items;
  int64_t count = 0;
  if (!Bind(meter, "slice", arguments, {"slices", "fill_with"}, 1, &given)) return Value();
  if (!GroupCount(interpreter, *given[0], &count) || !Iterate(meter, input, &items)) return Value();
  const auto length = static_cast<int64_t>(items.size());
  const int64_t size = length / count;
  const int64_t longer = length % count;
  std::vector<Value> slices;
  auto at = items.begin();
  for (int64_t i = 0; i < count && !meter.failed(); ++i) {
    const auto end = at + size + (i < longer ? 1 : 0);
    std::vector<Value> slice(at, end);
    if (given[1] != nullptr && !given[1]->is_none() && i >= longer && longer != 0)
      slice.push_back(*given[1]);
    slices.push_back(Value::List(meter, std::move(slice)));
    at = end;
  }
  return Generator(interpreter, std::move(slices));
}

Value Map(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  std::vector<Value> items;
  if (!Truthy(input)) return Generator(interpreter, {});  // None passes, as in Jinja
  if (arguments.positional.empty() && !arguments.named.empty()) {
    Given given;
    if (!Bind(meter, "map", arguments, {"attribute", "default"}, 1, &given)) return Value();
    if (!Iterate(meter, input, &items)) return Value();
    for (Value& item : items) {
      item = LookUpPath(interpreter, item, given[0]);
      if (item.is_undefined() && given[1] != nullptr && !given[1]->is_none()) item = *given[1];
      if (meter.failed()) return Value();
    }
    return Generator(interpreter, std::move(items));
  }
  if (arguments.positional.empty()) return interpreter.Fail("map requires a filter argument");
  const std::string filter = ToStr(meter, arguments.positional[0]);
  if (!Iterate(meter, input, &items)) return Value();
  for (Value& item : items) {
    Arguments rest;
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
    rest.named = arguments.named;
    item = interpreter.ApplyFilter(filter, item, rest);
    if (meter.failed()) return Value();
  }
  return Generator(interpreter, std::move(items));
}

// select, reject and their attribute forms: keeps the items for which the test (or without one, the
// truth) is `kKeep`.
template <bool kKeep, bool kByAttribute>
Value Select(Interpreter& interpreter, const Value& input, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  constexpr size_t kTestAt = kByAttribute ? 1 : 0;
  if (!Truthy(input)) return Generator(interpreter, {});
  if (arguments.positional.size() < kTestAt)
    return interpreter.Fail("missing parameter for attribute name");
  std::vector<Value> items;
  if (!Iterate(meter, input, &items)) return Value();
  std::vector<Value> kept;
  for (const Value& item : items) {
    const Value subject =
        kByAttribute ? LookUpPath(interpreter, item, &arguments.positional[0]) : item;
    bool holds = false;
    if (arguments.positional.size() > kTestAt) {
      Arguments rest;
      rest.positional.assign(arguments.positional.begin() + kTestAt + 1,
                             arguments.positional.end());
      rest.named = arguments.named;
      holds = interpreter.ApplyTest(ToStr(meter, arguments.positional[kTestAt]), subject, rest);
    } else {
      holds = Truthy(subject);
    }
    if (meter.failed()) return Value();
    if (holds == kKeep) kept.push_back(item);
  }
  return Generator(interpreter, std::move(kept));
}

constexpr Filter kSequenceFilters[] = {
    {"batch", Batch},
    {"count", LengthFilter},
    {"dictsort", DictSort},
    {"first", First},
    {"groupby", GroupBy},
    {"items", Items},
    {"join", Join},
    {"last", Last},
    {"length", LengthFilter},
    {"list", ListFilter},
    {"map", Map},
    {"max", Extreme<true>},
    {"min", Extreme<false>},
    {"reject", Select<false, false>},
    {"rejectattr", Select<false, true>},
    {"reverse", Reverse},
    {"select", Select<true, false>},
    {"selectattr", Select<true, true>},
    {"slice", SliceFilter},
    {"sort", Sort},
    {"sum", Sum},
    {"unique", Unique},
};

}  // namespace

std::span<const Filter> SequenceFilters() { return kSequenceFilters; }

}  // namespace puna::chat::jinja
