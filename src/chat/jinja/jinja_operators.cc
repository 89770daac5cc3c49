// Arithmetic with Python's rules: floor division and modulo round towards minus infinity, / always
// gives a float, strings and lists can be added and repeated. 64-bit integers are checked instead
// of growing.
#include "chat/jinja/jinja_operators.h"

#include <cmath>

#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

std::string_view Symbol(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kSubtract:
      return "-";
    case BinaryOp::kMultiply:
      return "*";
    case BinaryOp::kDivide:
      return "/";
    case BinaryOp::kFloorDivide:
      return "//";
    case BinaryOp::kModulo:
      return "%";
    case BinaryOp::kPower:
      return "**";
  }
  return "?";
}

Value Overflow(Interpreter& interpreter) {
  return interpreter.Fail("the result does not fit a 64-bit integer");
}

Value IntegerPower(Interpreter& interpreter, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return interpreter.Fail("0.0 cannot be raised to a negative power");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      return Overflow(interpreter);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return Overflow(interpreter);
  }
  return Value::Int(result);
}

Value IntegerOperation(Interpreter& interpreter, BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOp::kAdd:
      return __builtin_add_overflow(a, b, &result) ? Overflow(interpreter) : Value::Int(result);
    case BinaryOp::kSubtract:
      return __builtin_sub_overflow(a, b, &result) ? Overflow(interpreter) : Value::Int(result);
    case BinaryOp::kMultiply:
      return __builtin_mul_overflow(a, b, &result) ? Overflow(interpreter) : Value::Int(result);
    case BinaryOp::kPower:
      return IntegerPower(interpreter, a, b);
    default:
      break;
  }
  if (b == 0) return interpreter.Fail("integer division or modulo by zero");
  if (op == BinaryOp::kDivide) return Value::Float(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // the one quotient that can overflow
    if (op == BinaryOp::kModulo) return Value::Int(0);
    return __builtin_sub_overflow(int64_t{0}, a, &result) ? Overflow(interpreter)
                                                          : Value::Int(result);
  }
  const bool round_down = a % b != 0 && (a < 0) != (b < 0);
  if (op == BinaryOp::kFloorDivide) return Value::Int(a / b - (round_down ? 1 : 0));
  return Value::Int(a % b + (round_down ? b : 0));
}

Value FloatOperation(Interpreter& interpreter, BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value::Float(a + b);
    case BinaryOp::kSubtract:
      return Value::Float(a - b);
    case BinaryOp::kMultiply:
      return Value::Float(a * b);
    case BinaryOp::kPower:
      if (a == 0 && b < 0) return interpreter.Fail("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) return interpreter.Fail("complex numbers are not supported");
      if (std::isinf(std::pow(a, b)) && std::isfinite(a) && std::isfinite(b))
        return interpreter.Fail("the result is too large for a float");
      return Value::Float(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) return interpreter.Fail("float division by zero");
  if (op == BinaryOp::kDivide) return Value::Float(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == BinaryOp::kModulo)
    return Value::Float(remainder == 0 ? std::copysign(0.0, b) : remainder);
  return Value::Float(std::floor((a - remainder) / b + 0.5));
}

Value Repeat(Interpreter& interpreter, const Value& value, int64_t count) {
  Meter& meter = interpreter.meter();
  count = std::max<int64_t>(count, 0);
  const uint64_t unit =
      value.is_string() ? value.text().size() : value.sequence().items.size() * sizeof(Value);
  if (unit != 0 && (static_cast<uint64_t>(count) > meter.limits().max_live_bytes / unit ||
                    !meter.CanAllocate(unit * static_cast<uint64_t>(count)))) {
    meter.Fail(ErrorCode::kResourceExhausted, "repeating a value {} times needs too much memory",
               count);
    return Value();
  }
  if (unit == 0) count = 0;
  if (value.is_string()) {
    std::string text;
    text.reserve(unit * static_cast<uint64_t>(count));
    for (int64_t i = 0; i < count; ++i) text += value.text();
    return Value::String(meter, std::move(text), value.is_markup());
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i) {
    items.insert(items.end(), value.sequence().items.begin(), value.sequence().items.end());
  }
  return Value::Sequence(meter, std::move(items), value.sequence().type);
}

bool IsListOrTuple(const Value& value) {
  return value.is_sequence(SequenceType::kList) || value.is_sequence(SequenceType::kTuple);
}

Value Add(Interpreter& interpreter, const Value& left, const Value& right, bool* done) {
  Meter& meter = interpreter.meter();
  *done = true;
  if (left.is_string() && right.is_string()) {
    if (!meter.CanAllocate(left.text().size() + right.text().size())) return Value();
    if (left.is_markup() || right.is_markup()) {  // Markup escapes what it is added to
      return Value::String(meter,
                           (left.is_markup() ? left.text() : HtmlEscape(left.text())) +
                               (right.is_markup() ? right.text() : HtmlEscape(right.text())),
                           true);
    }
    return Value::String(meter, left.text() + right.text());
  }
  if (IsListOrTuple(left) && IsListOrTuple(right) &&
      left.sequence().type == right.sequence().type) {
    std::vector<Value> items = left.sequence().items;
    items.insert(items.end(), right.sequence().items.begin(), right.sequence().items.end());
    return Value::Sequence(meter, std::move(items), left.sequence().type);
  }
  *done = false;
  return Value();
}

int64_t ClampIndex(int64_t index, int64_t length, int64_t low, int64_t high) {
  if (index < 0) index += length;
  return std::clamp(index, low, high);
}

}  // namespace

Value BinaryOperation(Interpreter& interpreter, BinaryOp op, const Value& left,
                      const Value& right) {
  if (op == BinaryOp::kModulo && left.is_string()) return PercentFormat(interpreter, left, right);
  if (left.is_undefined()) return interpreter.Fail("{}", left.why_undefined());
  if (right.is_undefined()) return interpreter.Fail("{}", right.why_undefined());
  if (left.is_number() && right.is_number()) {
    if (left.is_float() || right.is_float())
      return FloatOperation(interpreter, op, left.AsDouble(), right.AsDouble());
    return IntegerOperation(interpreter, op, left.AsInt(), right.AsInt());
  }
  if (op == BinaryOp::kAdd) {
    bool done = false;
    Value sum = Add(interpreter, left, right, &done);
    if (done) return sum;
    if (left.is_string()) {
      return interpreter.Fail("can only concatenate str (not \"{}\") to str", TypeName(right));
    }
  }
  if (op == BinaryOp::kMultiply) {
    if ((left.is_string() || IsListOrTuple(left)) && right.is_integral())
      return Repeat(interpreter, left, right.AsInt());
    if ((right.is_string() || IsListOrTuple(right)) && left.is_integral())
      return Repeat(interpreter, right, left.AsInt());
  }
  return interpreter.Fail("unsupported operand type(s) for {}: '{}' and '{}'", Symbol(op),
                          TypeName(left), TypeName(right));
}

Value Negate(Interpreter& interpreter, const Value& value) {
  if (value.is_undefined()) return interpreter.Fail("{}", value.why_undefined());
  if (value.is_float()) return Value::Float(-value.AsDouble());
  int64_t result = 0;
  if (value.is_integral()) {
    return __builtin_sub_overflow(int64_t{0}, value.AsInt(), &result) ? Overflow(interpreter)
                                                                      : Value::Int(result);
  }
  return interpreter.Fail("bad operand type for unary -: '{}'", TypeName(value));
}

Value Slice(Interpreter& interpreter, const Value& value, const Value* begin, const Value* end,
            const Value* step) {
  Meter& meter = interpreter.meter();
  if (value.is_undefined()) return interpreter.Fail("{}", value.why_undefined());
  const bool sliceable =
      value.is_string() || IsListOrTuple(value) || value.is_sequence(SequenceType::kRange);
  if (!sliceable) return interpreter.Fail("'{}' object cannot be sliced", TypeName(value));
  for (const Value** part : {&begin, &end, &step}) {
    if (*part != nullptr && (*part)->is_none()) *part = nullptr;
    if (*part != nullptr && !(*part)->is_integral()) {
      return interpreter.Fail("slice indices must be integers or None, not {}", TypeName(**part));
    }
  }
  const int64_t stride = step != nullptr ? step->AsInt() : 1;
  if (stride == 0) return interpreter.Fail("slice step cannot be zero");
  int64_t length = 0;
  Length(meter, value, &length);
  const int64_t low = stride > 0 ? 0 : -1;
  const int64_t high = stride > 0 ? length : length - 1;
  const int64_t from = begin != nullptr ? ClampIndex(begin->AsInt(), length, low, high)
                       : stride > 0     ? low
                                        : high;
  const int64_t to = end != nullptr ? ClampIndex(end->AsInt(), length, low, high)
                     : stride > 0   ? high
                                    : low;
  if (value.is_string() && stride == 1) {
    return Value::String(meter, std::string(SliceCodepoints(value.text(), from, to)),
                         value.is_markup());
  }
  std::vector<std::string_view> characters;
  if (value.is_string()) {
    if (!meter.CanAllocate(value.text().size() * 16)) return Value();
    const Characters all(value.text());
    characters.assign(all.begin(), all.end());
  }
  std::string text;
  std::vector<Value> items;
  for (int64_t at = from; stride > 0 ? at < to : at > to;) {
    if (value.is_string()) {
      text += characters[static_cast<size_t>(at)];
    } else {
      items.push_back(value.sequence().items[static_cast<size_t>(at)]);
    }
    if (__builtin_add_overflow(at, stride, &at)) break;
  }
  if (value.is_string()) return Value::String(meter, std::move(text), value.is_markup());
  Value slice = Value::Sequence(meter, std::move(items), value.sequence().type);
  if (slice.is_sequence(SequenceType::kRange)) {
    const SequenceObject& range = value.sequence();
    // Only printed; wraps around instead of overflowing at the ends of the integers.
    const auto at = [&](int64_t index) {
      return static_cast<int64_t>(static_cast<uint64_t>(range.range_start) +
                                  static_cast<uint64_t>(index) *
                                      static_cast<uint64_t>(range.range_step));
    };
    slice.sequence().range_start = at(from);
    slice.sequence().range_stop = at(to);
    slice.sequence().range_step = static_cast<int64_t>(static_cast<uint64_t>(range.range_step) *
                                                       static_cast<uint64_t>(stride));
  }
  return slice;
}

}  // namespace puna::chat::jinja
