#include "chat/jinja/jinja_objects.h"

#include <algorithm>
#include <limits>

namespace puna::chat::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as in Jinja's sandbox

Value RangeFunction(Interpreter& interpreter, Arguments& arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.named.empty()) {
    return interpreter.Fail("range() takes 1 to 3 positional arguments");
  }
  for (const Value& value : given) {
    if (!value.is_integral()) {
      return interpreter.Fail("'{}' object cannot be interpreted as an integer", TypeName(value));
    }
  }
  const int64_t start = given.size() == 1 ? 0 : given[0].AsInt();
  const int64_t stop = given.size() == 1 ? given[0].AsInt() : given[1].AsInt();
  const int64_t step = given.size() == 3 ? given[2].AsInt() : 1;
  if (step == 0) return interpreter.Fail("range() arg 3 must not be zero");
  std::vector<Value> items;
  int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      return interpreter.Fail("a range may have at most {} elements", kMaxRange);
    }
    items.push_back(Value::Int(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  Value range = Value::Sequence(interpreter.meter(), std::move(items), SequenceType::kRange);
  if (range.is_sequence()) {
    range.sequence().range_start = start;
    range.sequence().range_stop = stop;
    range.sequence().range_step = step;
  }
  return range;
}

// Adds the pairs of a mapping, or of an iterable of pairs, and then the named arguments: what
// dict() and namespace() take.
bool CollectPairs(Interpreter& interpreter, std::string_view function, const Arguments& arguments,
                  DictObject* dict) {
  Meter& meter = interpreter.meter();
  if (arguments.positional.size() > 1)
    return meter.Fail("{}() takes at most one positional argument", function);
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is_dict()) {
      for (const auto& [key, value] : source.dict().entries) dict->Set(meter, key, value);
    } else {
      std::vector<Value> items;
      if (!Iterate(meter, source, &items)) return false;
      for (const Value& item : items) {
        std::vector<Value> pair;
        if (!Iterate(meter, item, &pair)) return false;
        if (pair.size() != 2)
          return meter.Fail("{}() needs pairs, one element has length {}", function, pair.size());
        dict->Set(meter, pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named)
    dict->Set(meter, Value::String(meter, name), value);
  return !meter.failed();
}

Value DictFunction(Interpreter& interpreter, Arguments& arguments) {
  auto dict = MakeDict(interpreter.meter());
  CollectPairs(interpreter, "dict", arguments, dict.get());
  return Value::Dict(std::move(dict));
}

Value NamespaceFunction(Interpreter& interpreter, Arguments& arguments) {
  auto dict = MakeDict(interpreter.meter());
  auto names = std::make_shared<Namespace>();
  names->ChargeTo(interpreter.meter(), sizeof(Namespace));
  if (!CollectPairs(interpreter, "namespace", arguments, dict.get())) return Value();
  for (const auto& [key, value] : dict->entries) names->Set(ToStr(interpreter.meter(), key), value);
  interpreter.meter().Pin(names);
  return Value::Native(std::move(names));
}

Value RaiseException(Interpreter& interpreter, Arguments& arguments) {
  std::vector<const Value*> given;
  if (!Bind(interpreter.meter(), "raise_exception", arguments, {"message"}, 1, &given))
    return Value();
  const std::string message = ToStr(interpreter.meter(), *given[0]);
  return interpreter.Fail("{}", message);
}

Value StrftimeNow(Interpreter& interpreter, Arguments& arguments) {
  std::vector<const Value*> given;
  if (!Bind(interpreter.meter(), "strftime_now", arguments, {"format"}, 1, &given)) return Value();
  if (!given[0]->is_string())
    return interpreter.Fail("strftime_now() needs a string, not {}", TypeName(*given[0]));
  if (!interpreter.meter().CanAllocate(given[0]->text().size() * 64)) return Value();
  return Value::String(interpreter.meter(), FormatTime(given[0]->text(), interpreter.now()));
}

// cycler(a, b, c): .next() goes round, .current looks, .reset() starts again.
struct Cycler final : NativeObject {
  std::string TypeName() const override { return "Cycler"; }
  std::string Print() const override { return "<Cycler>"; }
  bool Attribute(Interpreter&, std::string_view name, Value* value) override;
  void Clear() override { items.clear(); }
  std::vector<Value> items;
  size_t position = 0;
  std::weak_ptr<Object> self;
};

Value CyclerNext(Interpreter&, NativeObject& object, Arguments&) {
  auto& cycler = static_cast<Cycler&>(object);
  if (cycler.items.empty()) return Value();
  const Value value = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return value;
}

Value CyclerReset(Interpreter&, NativeObject& object, Arguments&) {
  static_cast<Cycler&>(object).position = 0;
  return Value::None();
}

bool Cycler::Attribute(Interpreter&, std::string_view name, Value* value) {
  if (name == "current" && !items.empty()) {
    *value = items[position];
  } else if (name == "next") {
    *value = Value::Native(std::make_shared<ObjectMethod>(self.lock(), "next", CyclerNext));
  } else if (name == "reset") {
    *value = Value::Native(std::make_shared<ObjectMethod>(self.lock(), "reset", CyclerReset));
  } else {
    return false;
  }
  return true;
}

Value CyclerFunction(Interpreter& interpreter, Arguments& arguments) {
  if (arguments.positional.empty()) return interpreter.Fail("cycler() needs at least one item");
  auto cycler = std::make_shared<Cycler>();
  cycler->ChargeTo(interpreter.meter(),
                   sizeof(Cycler) + arguments.positional.size() * sizeof(Value));
  cycler->items = std::move(arguments.positional);
  for (const Value& item : cycler->items) cycler->depth = std::max(cycler->depth, item.depth() + 1);
  if (!CheckNesting(interpreter.meter(), *cycler)) return Value();
  cycler->self = cycler;
  return Value::Native(std::move(cycler));
}

// joiner(", "): empty when first called, the separator afterwards.
struct Joiner final : NativeObject {
  std::string TypeName() const override { return "Joiner"; }
  std::string Print() const override { return "<Joiner>"; }
  bool IsCallable() const override { return true; }
  Value Call(Interpreter&, Arguments&) override {
    const bool first = !used;
    used = true;
    return first ? Value::Literal("") : separator;
  }
  Value separator;
  bool used = false;
};

Value JoinerFunction(Interpreter& interpreter, Arguments& arguments) {
  std::vector<const Value*> given;
  if (!Bind(interpreter.meter(), "joiner", arguments, {"sep"}, 0, &given)) return Value();
  auto joiner = std::make_shared<Joiner>();
  joiner->separator = given[0] != nullptr ? *given[0] : Value::Literal(", ");
  joiner->depth = joiner->separator.depth() + 1;
  joiner->ChargeTo(interpreter.meter(), sizeof(Joiner));
  if (!CheckNesting(interpreter.meter(), *joiner)) return Value();
  return Value::Native(std::move(joiner));
}

Value LoopCycle(Interpreter& interpreter, NativeObject& object, Arguments& arguments) {
  if (arguments.positional.empty()) return interpreter.Fail("no items for cycling given");
  return arguments.positional[static_cast<Loop&>(object).index0 % arguments.positional.size()];
}

Value LoopChanged(Interpreter& interpreter, NativeObject& object, Arguments& arguments) {
  auto& loop = static_cast<Loop&>(object);
  bool same = loop.has_changed_value && loop.last_changed.size() == arguments.positional.size();
  for (size_t i = 0; same && i < loop.last_changed.size(); ++i) {
    same = Equals(interpreter.meter(), loop.last_changed[i], arguments.positional[i]);
  }
  if (!same) {
    interpreter.meter().Pin(loop.self.lock());  // the values may contain the loop
    loop.has_changed_value = true;
    loop.last_changed = arguments.positional;
  }
  return Value::Bool(!same);
}

}  // namespace

Value NativeObject::Call(Interpreter& interpreter, Arguments&) {
  return interpreter.Fail("'{}' object is not callable", TypeName());
}

std::string Namespace::Print() const {
  // Python prints the attributes; without a meter at hand only their names are shown, and no
  // template depends on it.
  std::string out = "<Namespace {";
  for (size_t i = 0; i < attributes.size(); ++i)
    out += (i == 0 ? "'" : ", '") + attributes[i].first + "'";
  return out + "}>";
}

bool Namespace::Attribute(Interpreter&, std::string_view name, Value* value) {
  for (const auto& [attribute, stored] : attributes) {
    if (attribute == name) {
      *value = stored;
      return true;
    }
  }
  return false;
}

void Namespace::Set(std::string_view name, Value value) {
  for (auto& [attribute, stored] : attributes) {
    if (attribute == name) {
      stored = std::move(value);
      return;
    }
  }
  if (meter != nullptr) {
    charged_bytes += 96;
    meter->Allocated(96);
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

Value Macro::Call(Interpreter& interpreter, Arguments& arguments) {
  Meter& meter = interpreter.meter();
  auto frame = std::make_shared<Frame>(closure);
  const size_t count = syntax.parameters.size();
  std::vector<bool> taken(arguments.named.size(), false);
  const auto take_named = [&](std::string_view name, Value* value) {
    for (size_t i = 0; i < arguments.named.size(); ++i) {
      if (taken[i] || arguments.named[i].first != name) continue;
      taken[i] = true;
      *value = arguments.named[i].second;
      return true;
    }
    return false;
  };
  bool caller_is_parameter = false;
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = syntax.parameters[i];
    caller_is_parameter |= parameter.text == "caller";
    Value value;
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else if (!take_named(parameter.text, &value)) {
      value = parameter.default_value != nullptr
                  ? interpreter.EvalIn(*parameter.default_value, frame)
                  : Value::Undefined(
                        meter, fmt::format("parameter '{}' was not provided", parameter.text));
    }
    if (meter.failed()) return Value();
    frame->Set(parameter.name, std::move(value));
  }
  if (syntax.uses_caller && !caller_is_parameter) {
    Value caller;
    if (!take_named("caller", &caller)) caller = Value::Undefined(meter, "no caller defined");
    frame->Set(syntax.caller_name, std::move(caller));
  }
  auto rest = MakeDict(meter);
  for (size_t i = 0; i < arguments.named.size(); ++i) {
    if (taken[i]) continue;
    if (!syntax.uses_kwargs) {
      return interpreter.Fail("macro '{}' takes no keyword argument '{}'", syntax.name,
                              arguments.named[i].first);
    }
    rest->Set(meter, Value::String(meter, arguments.named[i].first), arguments.named[i].second);
  }
  if (syntax.uses_kwargs) frame->Set(syntax.kwargs_name, Value::Dict(std::move(rest)));
  if (syntax.uses_varargs) {
    std::vector<Value> more;
    for (size_t i = count; i < arguments.positional.size(); ++i)
      more.push_back(arguments.positional[i]);
    frame->Set(syntax.varargs_name, Value::Tuple(meter, std::move(more)));
  } else if (arguments.positional.size() > count) {
    return interpreter.Fail("macro '{}' takes not more than {} arguments", syntax.name, count);
  }
  return meter.failed() ? Value() : interpreter.RunMacroBody(syntax, frame);
}

bool Macro::Attribute(Interpreter& interpreter, std::string_view name, Value* value) {
  Meter& meter = interpreter.meter();
  if (name == "name") {
    *value = syntax.name.empty() ? Value::None() : Value::String(meter, syntax.name);
  } else if (name == "arguments") {
    std::vector<Value> names;
    for (const Parameter& parameter : syntax.parameters)
      names.push_back(Value::String(meter, parameter.text));
    *value = Value::Tuple(meter, std::move(names));
  } else if (name == "catch_kwargs") {
    *value = Value::Bool(syntax.uses_kwargs);
  } else if (name == "catch_varargs") {
    *value = Value::Bool(syntax.uses_varargs);
  } else if (name == "caller") {
    *value = Value::Bool(syntax.uses_caller);
  } else {
    return false;
  }
  return true;
}

Value Loop::Call(Interpreter& interpreter, Arguments& arguments) {
  if (!statement->recursive || outer == nullptr) {
    return interpreter.Fail("the loop must have the 'recursive' marker to be called");
  }
  if (arguments.positional.size() != 1) return interpreter.Fail("loop() takes one argument");
  std::string text;
  const FramePtr frame = outer;
  interpreter.RunLoop(*statement, frame, arguments.positional[0], depth0 + 1, &text);
  return Value::String(interpreter.meter(), std::move(text));
}

bool Loop::Attribute(Interpreter& interpreter, std::string_view name, Value* value) {
  const auto index = static_cast<int64_t>(index0);
  const auto count = static_cast<int64_t>(items.size());
  const std::pair<std::string_view, int64_t> numbers[] = {
      {"index", index + 1},        {"index0", index},
      {"revindex", count - index}, {"revindex0", count - index - 1},
      {"length", count},           {"depth", depth0 + 1},
      {"depth0", depth0}};
  for (const auto& [attribute, number] : numbers) {
    if (name == attribute) {
      *value = Value::Int(number);
      return true;
    }
  }
  if (name == "first") {
    *value = Value::Bool(index == 0);
  } else if (name == "last") {
    *value = Value::Bool(index + 1 == count);
  } else if (name == "previtem") {
    *value = index > 0 ? items[index0 - 1]
                       : Value::Undefined(interpreter.meter(), "there is no previous item");
  } else if (name == "nextitem") {
    *value = index + 1 < count ? items[index0 + 1]
                               : Value::Undefined(interpreter.meter(), "there is no next item");
  } else if (name == "cycle" || name == "changed") {
    const auto body = name == "cycle" ? LoopCycle : LoopChanged;
    *value = Value::Native(
        std::make_shared<ObjectMethod>(self.lock(), name == "cycle" ? "cycle" : "changed", body));
  } else {
    return false;
  }
  return true;
}

void AddGlobalFunctions(Interpreter& interpreter) {
  static constexpr std::pair<std::string_view, HostFunction::Body> kFunctions[] = {
      {"range", RangeFunction},         {"dict", DictFunction},
      {"namespace", NamespaceFunction}, {"cycler", CyclerFunction},
      {"joiner", JoinerFunction},       {"raise_exception", RaiseException},
      {"strftime_now", StrftimeNow},
  };
  for (const auto& [name, body] : kFunctions) {
    interpreter.SetGlobal(name, Value::Native(std::make_shared<HostFunction>(name, body)));
  }
}

}  // namespace puna::chat::jinja
