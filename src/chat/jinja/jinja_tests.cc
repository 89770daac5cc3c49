// `value is test(argument)`: one table.
#include <algorithm>
#include <cmath>

#include "chat/jinja/jinja_interpreter.h"
#include "chat/jinja/jinja_names.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

// `other` is the argument, where the test takes one.
using TestBody = bool (*)(Interpreter&, const Value& value, const Value& other);

struct TestEntry {
  std::string_view name;
  int num_arguments;
  TestBody body;
};

bool IsRemainderZero(Interpreter& interpreter, const Value& value, int64_t divisor) {
  const Value remainder =
      BinaryOperation(interpreter, BinaryOp::kModulo, value, Value::Int(divisor));
  return remainder.is_number() && remainder.AsDouble() == 0;
}

bool IsOrdered(Interpreter& interpreter, const Value& a, const Value& b, int first, int second) {
  int order = 0;
  return Compare(interpreter.meter(), a, b, &order) && (order == first || order == second);
}

// Some character has the case and none has the other: str.islower and str.isupper of the printed
// value.
bool HasCase(Interpreter& interpreter, const Value& value, std::string_view method) {
  Arguments none;
  const Value text = Value::String(interpreter.meter(), ToStr(interpreter.meter(), value));
  return Truthy(FindStringMethod(method)->call(interpreter, text, none));
}

bool IsSequenceTest(Interpreter&, const Value& v, const Value&) {
  return v.is_undefined() || v.is_string() || v.is_dict() || v.is_sequence(SequenceType::kList) ||
         v.is_sequence(SequenceType::kTuple) || v.is_sequence(SequenceType::kRange);
}

bool IsEqual(Interpreter& i, const Value& v, const Value& o) { return Equals(i.meter(), v, o); }
bool IsNotEqual(Interpreter& i, const Value& v, const Value& o) { return !Equals(i.meter(), v, o); }
bool IsLess(Interpreter& i, const Value& v, const Value& o) { return IsOrdered(i, v, o, -1, -1); }
bool IsLessOrEqual(Interpreter& i, const Value& v, const Value& o) {
  return IsOrdered(i, v, o, -1, 0);
}
bool IsGreater(Interpreter& i, const Value& v, const Value& o) { return IsOrdered(i, v, o, 1, 1); }
bool IsGreaterOrEqual(Interpreter& i, const Value& v, const Value& o) {
  return IsOrdered(i, v, o, 1, 0);
}

// Python's `is`: the same object. Small values have no identity of their own here and are the same
// if they are equal.
bool IsSame(Interpreter& interpreter, const Value& v, const Value& o) {
  if (v.kind() != o.kind()) return false;
  if (v.is_dict() || v.is_sequence() || v.is_object()) return v.object() == o.object();
  return Equals(interpreter.meter(), v, o);
}

constexpr TestEntry kTests[] = {
    {"!=", 1, IsNotEqual},
    {"<", 1, IsLess},
    {"<=", 1, IsLessOrEqual},
    {"==", 1, IsEqual},
    {">", 1, IsGreater},
    {">=", 1, IsGreaterOrEqual},
    {"boolean", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_bool(); }},
    {"callable", 0,
     [](Interpreter&, const Value& v, const Value&) {
       return v.is_undefined() || (v.is_object() && v.native().IsCallable());
     }},
    {"defined", 0, [](Interpreter&, const Value& v, const Value&) { return !v.is_undefined(); }},
    {"divisibleby", 1,
     [](Interpreter& i, const Value& v, const Value& o) {
       const Value remainder = BinaryOperation(i, BinaryOp::kModulo, v, o);
       return remainder.is_number() && remainder.AsDouble() == 0;
     }},
    {"eq", 1, IsEqual},
    {"equalto", 1, IsEqual},
    {"escaped", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_markup(); }},
    {"even", 0,
     [](Interpreter& i, const Value& v, const Value&) { return IsRemainderZero(i, v, 2); }},
    {"false", 0,
     [](Interpreter&, const Value& v, const Value&) { return v.is_bool() && v.AsInt() == 0; }},
    {"filter", 0,
     [](Interpreter&, const Value& v, const Value&) {
       return v.is_string() && IsFilterName(v.text());
     }},
    {"float", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_float(); }},
    {"ge", 1, IsGreaterOrEqual},
    {"greaterthan", 1, IsGreater},
    {"gt", 1, IsGreater},
    {"in", 1,
     [](Interpreter& i, const Value& v, const Value& o) {
       bool found = false;
       Contains(i.meter(), o, v, &found);
       return found;
     }},
    {"integer", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_int(); }},
    {"iterable", 0, [](Interpreter&, const Value& v, const Value&) { return IsIterable(v); }},
    {"le", 1, IsLessOrEqual},
    {"lessthan", 1, IsLess},
    {"lower", 0,
     [](Interpreter& i, const Value& v, const Value&) { return HasCase(i, v, "islower"); }},
    {"lt", 1, IsLess},
    {"mapping", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_dict(); }},
    {"ne", 1, IsNotEqual},
    {"none", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_none(); }},
    {"number", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_number(); }},
    {"odd", 0,
     [](Interpreter& i, const Value& v, const Value&) {
       const Value remainder = BinaryOperation(i, BinaryOp::kModulo, v, Value::Int(2));
       return remainder.is_number() && remainder.AsDouble() == 1;
     }},
    {"sameas", 1, IsSame},
    {"sequence", 0, IsSequenceTest},
    {"string", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_string(); }},
    {"test", 0,
     [](Interpreter&, const Value& v, const Value&) {
       return v.is_string() && IsTestName(v.text());
     }},
    {"true", 0,
     [](Interpreter&, const Value& v, const Value&) { return v.is_bool() && v.AsInt() == 1; }},
    {"undefined", 0, [](Interpreter&, const Value& v, const Value&) { return v.is_undefined(); }},
    {"upper", 0,
     [](Interpreter& i, const Value& v, const Value&) { return HasCase(i, v, "isupper"); }},
};

const TestEntry* FindTest(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTests), std::end(kTests),
                                   [&](const TestEntry& t) { return t.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace

bool IsTestName(std::string_view name) { return FindTest(name) != nullptr; }

bool Interpreter::ApplyTest(std::string_view name, const Value& input, Arguments& arguments) {
  if (meter_.failed() || !meter_.Charge(1)) return false;
  const TestEntry* test = FindTest(name);
  if (test == nullptr) return meter_.Fail("no test named '{}' found", name);
  const size_t count = arguments.positional.size() + arguments.named.size();
  if (count != static_cast<size_t>(test->num_arguments)) {
    return meter_.Fail("the test '{}' takes {} arguments, {} were given", name, test->num_arguments,
                       count);
  }
  const Value other = !arguments.positional.empty() ? arguments.positional[0]
                      : !arguments.named.empty()    ? arguments.named[0].second
                                                    : Value();
  ChargeText(input);
  return test->body(*this, input, other) && !meter_.failed();
}

}  // namespace puna::chat::jinja
